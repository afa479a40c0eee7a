// A linear layer with data: packed weights on the device, rows of x on demand.
#pragma once

#include <string>

#include "kernels/params.h"
#include "selftest/arrays.h"
#include "selftest/check.h"

namespace quire {

struct LinearCase {
  DType dtype;
  bool to_f32 = false;
  int num_rows, in_dim, out_dim;
  bool has_bias;
  int x_gap, y_gap;  // elements between two rows
  bool batch_invariant = false;
};

// `size` is that of CheckCase.
LinearCase make_linear_case(Random& random, DType dtype, int num_rows, double size = 1);
std::string describe(const LinearCase& c);

class LinearProblem {
 public:
  LinearProblem(Device& device, const LinearCase& c, Random& random);

  // y [end - begin, out_dim] of rows [begin, end) of x. Touched guards and gaps become findings.
  HostArray run(int begin, int end, Comparison& found) const;

  // All rows against a float64 sum.
  void compare(const HostArray& y, Comparison& found) const;

 private:
  Device& device_;
  LinearCase case_;
  HostArray x_, weight_, bias_;  // [num_rows, in_dim], [out_dim, in_dim], [out_dim]
  std::unique_ptr<GuardedBuffer> packed_, device_bias_;
};

}  // namespace quire
