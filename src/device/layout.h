// How keys, values and packed weights are stored in a device's memory, for the host. Each target has its own
// types for them, which its kernels use too; they implement these interfaces.
#pragma once

#include <cstddef>
#include <memory>

#include "base/formats.h"

namespace quire {

// One page of one KV head: the K part, the V part, then scales where the format has them. Offsets count
// elements of K and of V.
class PageLayout {
 public:
  PageLayout(const KvFormat& format, int page_size) : format_(format), page_size_(page_size) {}
  virtual ~PageLayout() = default;

  const KvFormat& format() const { return format_; }
  int page_size() const { return page_size_; }  // tokens

  virtual long k_elems() const = 0;
  virtual long v_elems() const = 0;
  virtual int stored_k_dim()
      const = 0;  // elements of a token's key that are written: its head and zeros behind it
  virtual int stored_v_dim() const = 0;

  // The index maps, from the start of the part.
  virtual long k_offset(int token, int dim) const = 0;
  virtual long v_offset(int token, int dim) const = 0;

  // Where the parts begin, and how long the whole is. Values that are a prefix of keys take no room of their
  // own. Scales are f32, [page_size] of keys, then [page_size] of values; they begin at a multiple of 16
  // bytes, as the next head's part does.
  std::size_t v_begin_bytes() const;
  std::size_t scales_begin_bytes() const;
  std::size_t bytes() const;

 private:
  const KvFormat format_;
  const int page_size_;
};

// The interface, implemented by a target's page type.
template <class Page>
class PageLayoutOf : public PageLayout {
 public:
  PageLayoutOf(const KvFormat& format, const Page& page) : PageLayout(format, page.page_size), page_(page) {}
  long k_elems() const override { return page_.k_elems(); }
  long v_elems() const override { return page_.v_elems(); }
  int stored_k_dim() const override { return page_.stored_k_dim(); }
  int stored_v_dim() const override { return page_.stored_v_dim(); }
  long k_offset(int token, int dim) const override { return page_.k_offset(token, dim); }
  long v_offset(int token, int dim) const override { return page_.v_offset(token, dim); }

 private:
  const Page page_;
};

// A packed weight [out_dim, in_dim].
class WeightLayout {
 public:
  virtual ~WeightLayout() = default;

  virtual long elems() const = 0;               // of the whole, zeros included
  virtual long offset(int n, int k) const = 0;  // of element (n, k)

  // Outputs are packed and copied in groups of kGroup; the last may have fewer. Elements that `num` outputs
  // take:
  static constexpr int kGroup = 16;
  virtual long group_elems(int num) const = 0;
  // Puts rows [num, in_dim] of elements of `elem_bytes` (2 or 4) in order, with zeros where the layout has
  // them.
  virtual void pack_group(const std::byte* rows, int num, std::size_t elem_bytes, std::byte* to) const = 0;
};

}  // namespace quire
