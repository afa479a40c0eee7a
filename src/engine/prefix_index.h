// Which page holds which prefix. A full page is named by a SHA-256 digest over everything that its keys and
// values depend on: the digest of the page before it (32 zero bytes for the first page), its token ids as
// little-endian int32, and, in the first page only, the request's cache salt. Equal digests therefore mean
// equal token histories under equal salts. The encoding is the same in every process and on every machine.
#pragma once

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/page_pool.h"

namespace quire {

using PageHash = std::array<std::uint8_t, 32>;

// Computes page digests; keeps its algorithm and context between calls. Not for use by two threads at once.
class PageHasher {
 public:
  PageHasher();  // throws kUnsupported when libcrypto offers no SHA-256

  // `parent` is null for the first page; `salt` is taken into the first page only.
  PageHash hash(const PageHash* parent, std::span<const std::int32_t> tokens, std::string_view salt);

 private:
  struct Free {
    void operator()(EVP_MD* md) const { EVP_MD_free(md); }
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD, Free> md_;
  std::unique_ptr<EVP_MD_CTX, Free> context_;
  std::vector<std::uint8_t> bytes_;
};

// Digest and cache group -> pages. Several pages may carry one digest (two requests computed the same prefix
// at the same time): page tables are never rewritten, so duplicates stay until they are evicted. A hash table
// whose chains run through arrays indexed by page: nothing is allocated after construction.
class PrefixIndex {
 public:
  explicit PrefixIndex(int num_pages);

  PageId find(const PageHash& hash, std::size_t group) const;  // the page entered last, or kNullPage
  void insert(const PageHash& hash, std::size_t group,
              PageId page);  // throws kInternal when the page has a digest already
  void erase(PageId page);   // no effect on a page without a digest
  bool contains(PageId page) const { return entries_[static_cast<std::size_t>(page)].is_used; }
  std::size_t group_of(PageId page) const {
    return entries_[static_cast<std::size_t>(page)].group;
  }  // of one that is contained
  int num_pages() const { return num_used_; }
  void clear();

  // Throws Error{kInternal} unless every chain holds exactly the pages that carry a digest. O(num_pages).
  void check_integrity() const;

 private:
  struct Entry {
    PageHash hash;
    PageId next;
    std::uint8_t group;
    bool is_used;
  };
  std::size_t bucket_of(const PageHash& hash, std::size_t group) const;

  std::vector<Entry> entries_;   // [num_pages]
  std::vector<PageId> buckets_;  // first page of each chain, kNullPage when empty; a power of two of them
  int num_used_ = 0;
};

}  // namespace quire
