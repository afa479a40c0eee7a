#include "measure/attention_workload.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "base/check.h"
#include "measure/random_buffer.h"
#include "tile/ranges.h"

namespace quire {
namespace {

constexpr std::size_t kMaxCopies = 64;
constexpr int kWriteTokens = 1024;  // tokens that are written to the cache at a time

template <class T>
std::unique_ptr<Buffer> upload(Device& device, const std::vector<T>& values) {
  auto buffer = device.allocate(values.size() * sizeof(T));
  device.copy_to_device(buffer->data(), values.data(), values.size() * sizeof(T));
  return buffer;
}

std::size_t page_bytes(const Device& device, const AttentionDesc& desc) {
  return kv_layout(device, desc).page_bytes;
}

long num_pages_of(const AttentionDesc& desc, const AttentionLengths& lengths) {
  long num_pages = 0;
  for (const std::int32_t kv_len : lengths.kv_len) num_pages += ceil_div(kv_len, desc.page_size);
  return num_pages;
}

void fill(Device& device, const AttentionDesc& desc, std::byte* pages, long num_slots) {
  const auto kv_heads = static_cast<std::size_t>(desc.num_kv_heads);
  const auto k =
      random_buffer(device, kWriteTokens * kv_heads * static_cast<std::size_t>(desc.head_dim_qk), desc.dtype);
  const auto v =
      random_buffer(device, kWriteTokens * kv_heads * static_cast<std::size_t>(desc.head_dim_vo), desc.dtype);
  std::vector<std::int64_t> slots(kWriteTokens);
  const auto slot_mapping = device.allocate(slots.size() * sizeof(std::int64_t));
  for (long begin = 0; begin < num_slots; begin += kWriteTokens) {
    std::iota(slots.begin(), slots.end(), begin);
    device.copy_to_device(slot_mapping->data(), slots.data(), slots.size() * sizeof(std::int64_t));
    KvWriteTensors tensors;
    tensors.k = k->data();
    tensors.v = v->data();
    tensors.kv_pool = pages;
    tensors.slot_mapping = slot_mapping->as<std::int64_t>();
    tensors.num_tokens = static_cast<int>(std::min<long>(kWriteTokens, num_slots - begin));
    write_kv(device, desc, tensors);
  }
  device.synchronize();
}

}  // namespace

std::size_t pool_bytes_of(const Device& device, const AttentionDesc& desc, const AttentionLengths& lengths) {
  return page_bytes(device, desc) * static_cast<std::size_t>(std::max(1l, num_pages_of(desc, lengths)));
}

std::size_t cold_bytes_of(const Device& device, const AttentionDesc& desc, const AttentionLengths& lengths) {
  const std::size_t pool_bytes = pool_bytes_of(device, desc, lengths);
  return pool_bytes * std::clamp<std::size_t>(kColdBytes / pool_bytes + 1, 2, kMaxCopies);
}

PageMemory::PageMemory(Device& device, const AttentionDesc& desc, std::size_t num_bytes) {
  const std::size_t page = page_bytes(device, desc), num_pages = (num_bytes + page - 1) / page;
  num_bytes_ = num_pages * page;
  pages_ = device.allocate(num_bytes_);
  fill(device, desc, pages_->data(), static_cast<long>(num_pages) * desc.page_size);
}

AttentionWorkload::AttentionWorkload(Device& device, const AttentionDesc& desc,
                                     const AttentionLengths& lengths, const PageMemory& memory)
    : memory_(memory), pool_bytes_(pool_bytes_of(device, desc, lengths)) {
  QUIRE_CHECK_KIND(kInternal, pool_bytes_ <= memory.num_bytes(), "a batch of {} bytes of pages in {} bytes",
                   pool_bytes_, memory.num_bytes());
  num_copies_ = std::min(memory.num_bytes() / pool_bytes_, kMaxCopies);
  std::vector<int> pages(static_cast<std::size_t>(num_pages_of(desc, lengths)));
  std::iota(pages.begin(), pages.end(), 0);
  std::shuffle(pages.begin(), pages.end(), std::mt19937(1));
  for (const std::int32_t kv_len : lengths.kv_len)
    max_pages_ = std::max(max_pages_, ceil_div(kv_len, desc.page_size));
  std::vector<std::int32_t> table;
  auto next = pages.begin();
  for (const std::int32_t kv_len : lengths.kv_len) {
    const int count = ceil_div(kv_len, desc.page_size);
    table.insert(table.end(), next, next + count);
    table.insert(table.end(), static_cast<std::size_t>(max_pages_ - count), 0);
    next += count;
  }
  page_table_ = upload(device, table);
  const auto heads = static_cast<std::size_t>(desc.num_qo_heads);
  const auto num_rows = heads * static_cast<std::size_t>(
                                    std::accumulate(lengths.query_len.begin(), lengths.query_len.end(), 0L));
  q_ = random_buffer(device, num_rows * static_cast<std::size_t>(desc.head_dim_qk), desc.dtype);
  o_ = device.allocate(num_rows * static_cast<std::size_t>(desc.head_dim_vo) * dtype_bytes(desc.dtype));
  std::vector<float> slopes(heads);
  for (std::size_t h = 0; h < heads; ++h)
    slopes[h] = std::exp2(-8.0f * static_cast<float>(h + 1) / static_cast<float>(heads));
  slopes_ = upload(device, slopes);
  sinks_ = upload(device, std::vector<float>(heads, 0.5f));
}

AttentionTensors AttentionWorkload::tensors(int run) const {
  AttentionTensors tensors;
  tensors.q = q_->data();
  tensors.o = o_->data();
  tensors.kv_pool = memory_.data() + static_cast<std::size_t>(run) % num_copies_ * pool_bytes_;
  tensors.page_table = page_table_->as<std::int32_t>();
  tensors.max_pages = max_pages_;
  tensors.alibi_slopes = slopes_->as<float>();
  tensors.sinks = sinks_->as<float>();
  return tensors;
}

}  // namespace quire
