#include "engine/prefix_index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/check.h"

namespace quire {

PageHasher::PageHasher() : md_(EVP_MD_fetch(nullptr, "SHA256", nullptr)), context_(EVP_MD_CTX_new()) {
  QUIRE_CHECK_KIND(kUnsupported, md_ && context_,
                   "libcrypto offers no SHA-256, which the prefix cache needs");
}

PageHash PageHasher::hash(const PageHash* parent, std::span<const std::int32_t> tokens,
                          std::string_view salt) {
  constexpr PageHash kRoot{};
  const PageHash& before = parent ? *parent : kRoot;
  const std::size_t salt_bytes = parent ? 0 : salt.size();
  bytes_.resize(before.size() + 4 * tokens.size() + salt_bytes);
  std::uint8_t* out = std::copy(before.begin(), before.end(), bytes_.data());
  for (const std::int32_t token : tokens) {
    const auto bits = static_cast<std::uint32_t>(token);
    for (int byte = 0; byte < 4; ++byte) *out++ = static_cast<std::uint8_t>(bits >> (8 * byte));
  }
  std::copy_n(salt.begin(), salt_bytes, out);
  PageHash digest;
  const bool is_done = EVP_DigestInit_ex2(context_.get(), md_.get(), nullptr) == 1 &&
                       EVP_DigestUpdate(context_.get(), bytes_.data(), bytes_.size()) == 1 &&
                       EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1;
  QUIRE_CHECK_KIND(kInternal, is_done, "SHA-256 of {} bytes failed", bytes_.size());
  return digest;
}

PrefixIndex::PrefixIndex(int num_pages)
    : entries_(static_cast<std::size_t>(num_pages)),
      buckets_(std::bit_ceil(2 * static_cast<std::size_t>(num_pages))) {}

std::size_t PrefixIndex::bucket_of(const PageHash& hash, std::size_t group) const {
  std::uint64_t word;  // a digest is uniform already, so any of its words will do: another one for each group
  std::memcpy(&word, hash.data() + group % 4 * sizeof word, sizeof word);
  return word & (buckets_.size() - 1);
}

PageId PrefixIndex::find(const PageHash& hash, std::size_t group) const {
  PageId page = buckets_[bucket_of(hash, group)];
  while (page != kNullPage) {
    const Entry& entry = entries_[static_cast<std::size_t>(page)];
    if (entry.group == group && entry.hash == hash) break;
    page = entry.next;
  }
  return page;
}

void PrefixIndex::insert(const PageHash& hash, std::size_t group, PageId page) {
  Entry& entry = entries_[static_cast<std::size_t>(page)];
  QUIRE_CHECK_KIND(kInternal, page != kNullPage && !entry.is_used, "page {} enters the prefix index twice",
                   page);
  PageId& first = buckets_[bucket_of(hash, group)];
  entry = {hash, first, static_cast<std::uint8_t>(group), true};
  first = page;
  ++num_used_;
}

void PrefixIndex::erase(PageId page) {
  Entry& entry = entries_[static_cast<std::size_t>(page)];
  if (!entry.is_used) return;
  PageId* link = &buckets_[bucket_of(entry.hash, entry.group)];
  while (*link != page) link = &entries_[static_cast<std::size_t>(*link)].next;
  *link = entry.next;
  entry.is_used = false;
  --num_used_;
}

void PrefixIndex::clear() {
  std::fill(buckets_.begin(), buckets_.end(), kNullPage);
  for (Entry& entry : entries_) entry.is_used = false;
  num_used_ = 0;
}

void PrefixIndex::check_integrity() const {
  int num_linked = 0;
  for (std::size_t bucket = 0; bucket < buckets_.size(); ++bucket) {
    for (PageId page = buckets_[bucket]; page != kNullPage;
         page = entries_[static_cast<std::size_t>(page)].next) {
      const Entry& entry = entries_[static_cast<std::size_t>(page)];
      QUIRE_CHECK_KIND(kInternal, entry.is_used && bucket_of(entry.hash, entry.group) == bucket,
                       "prefix index lists page {} in chain {} where it does not belong", page, bucket);
      QUIRE_CHECK_KIND(kInternal, ++num_linked <= num_used_, "prefix index lists more than its {} pages",
                       num_used_);
    }
  }
  const auto num_marked =
      std::count_if(entries_.begin(), entries_.end(), [](const Entry& e) { return e.is_used; });
  QUIRE_CHECK_KIND(kInternal, num_linked == num_used_ && num_marked == num_used_,
                   "prefix index counts {} pages, lists {}, marks {}", num_used_, num_linked, num_marked);
}

}  // namespace quire
