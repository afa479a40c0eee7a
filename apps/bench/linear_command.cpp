#include <charconv>

#include "apps/bench/bench_command.h"
#include "apps/console.h"
#include "base/check.h"
#include "kernels/params.h"

namespace quire {
namespace {

constexpr std::size_t kColdBytes =
    std::size_t{512} << 20;  // weights take turns over this much, so that each run reads cold ones

struct LinearShape {
  int num_rows, out_dim, in_dim;
};

struct LinearFlags : BenchFlags {
  std::vector<std::string> shapes = {"1x4096x4096", "512x4096x4096"};
  std::string dtype = "bf16";
  bool warm = false;
};

LinearShape parse_shape(const std::string& text) {
  int numbers[3] = {};
  const char *at = text.data(), *end = at + text.size();
  bool is_good = true;
  for (int i = 0; i < 3 && is_good; ++i) {
    if (i > 0) is_good = at < end && *at++ == 'x';
    const auto [after, error] = std::from_chars(at, end, numbers[i]);
    is_good = is_good && error == std::errc() && numbers[i] >= 1 && numbers[i] <= (1 << 20);
    at = after;
  }
  QUIRE_CHECK(is_good && at == end,
              "--shape \"{}\": must be ROWSxOUTxIN, each 1 to 1048576, e.g. 512x4096x4096", text);
  return {numbers[0], numbers[1], numbers[2]};
}

BenchRow measure_linear(Device& device, CeilingMeter& meter, const LinearShape& shape,
                        const LinearFlags& flags) {
  const DType dtype = dtype_of(flags.dtype);
  const auto elem = dtype_bytes(dtype);
  const auto rows = static_cast<std::size_t>(shape.num_rows), out = static_cast<std::size_t>(shape.out_dim),
             in = static_cast<std::size_t>(shape.in_dim);
  const auto packed_elems =
      static_cast<std::size_t>(device.weight_layout({dtype}, shape.out_dim, shape.in_dim)->elems());
  const std::size_t num_copies =
      flags.warm ? 1 : std::max<std::size_t>(2, kColdBytes / (packed_elems * elem) + 1);
  const auto weights = random_buffer(device, packed_elems * num_copies, dtype);
  const auto x = random_buffer(device, rows * in, dtype);
  const auto y = device.allocate(rows * out * elem);

  LinearParams params{};
  params.x = x->data();
  params.y = y->data();
  params.x_stride = shape.in_dim;
  params.y_stride = shape.out_dim;
  params.num_rows = shape.num_rows;
  params.in_dim = shape.in_dim;
  params.out_dim = shape.out_dim;
  BenchWork work;
  work.name = fmt::format("linear {}x{}x{} {}", shape.num_rows, shape.out_dim, shape.in_dim, flags.dtype);
  work.dtype = dtype;
  work.only_launches = true;
  work.cost = {static_cast<double>((out * in + rows * in + rows * out) * elem),
               2.0 * shape.num_rows * shape.out_dim * shape.in_dim};
  work.run = [&](int run) {
    params.weight = weights->data() + static_cast<std::size_t>(run) % num_copies * packed_elems * elem;
    device.run(plain_linear(dtype, dtype), params, shape.out_dim, work.cost);
  };
  return measure(device, meter, work, flags.num_rounds);
}

int run_linear(const Program& program, const LinearFlags& flags) {
  std::vector<LinearShape> shapes;
  for (const std::string& text : flags.shapes) shapes.push_back(parse_shape(text));
  const std::unique_ptr<Device> device = open_device(program, flags.device);
  CeilingMeter meter(*device);
  BenchReport report(device->caps());
  for (const LinearShape& shape : shapes) report.add(measure_linear(*device, meter, shape, flags));
  report.finish(meter.best(), flags.json_path);
  return kExitOk;
}

}  // namespace

void add_bench_linear(CLI::App& bench, Program& program) {
  CLI::App& command = *bench.add_subcommand("linear", "Matrix products with packed weights");
  command.footer(R"(
Weights rotate over 512 MB, as those of a model's layers do, so that no run finds them in a cache.

Examples:
  quire bench linear
  quire bench linear --shape 1x4096x4096,8x4096x14336 --dtype f32
  quire bench linear --shape 512x4096x4096 --threads 1)");
  const auto flags = std::make_shared<LinearFlags>();
  command.add_option("--shape", flags->shapes, "Rows x outputs x inputs, several joined by commas")
      ->delimiter(',')
      ->type_name("MxNxK,...")
      ->capture_default_str();
  command.add_option("--dtype", flags->dtype, "Element type")
      ->check(CLI::IsMember(dtype_names()))
      ->capture_default_str();
  command.add_flag("--warm", flags->warm, "One weight matrix over and over, from the cache if it fits");
  add_bench_flags(command, *flags);
  command.callback(
      [&program, flags] { program.action = [&program, flags] { return run_linear(program, *flags); }; });
}

}  // namespace quire
