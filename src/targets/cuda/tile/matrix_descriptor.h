// Matrix descriptors: how a product of a warpgroup finds an operand in shared memory (PTX ISA: wgmma, "Shared
// Memory Matrix Layout", "Canonical Layouts", "Matrix Descriptor"). Included behind the functions of the
// chip.
#pragma once

namespace quire {
namespace QUIRE_TARGET {

// A strip: rows of `width` chunks of 16 bytes, 1, 2, 4 or 8, each row behind the one before it, from a row
// that is a multiple of 8. Chunk c of row r stands at c ^ (r width / 8 % width), which is the unit's swizzle
// of 16 width bytes (modes 3, 2 and 1, bits 62 and 63), and for one chunk no swizzle (mode 0). Address,
// leading and stride offset are in units of 16 bytes, at bits 0, 16 and 32.
//
// Keys, k along the rows (K-major). The columns n of a product are rows: the stride offset leads from 8 rows
// to the next 8, 8 width chunks. A step of 16 elements, two chunks, lies in the swizzled rows, from a start
// that advances by 32 bytes, and the leading offset does not count. Without a swizzle the two chunks of a
// step are 8 x 16 bytes each, and the leading offset says where the second one lies.
//
// Values, n along the rows (MN-major). A step is 16 rows: two groups of 8. With a swizzle the stride offset
// leads from one group to the other, 8 width chunks; the leading offset leads to the next 8 width columns,
// those of the next strip, and does not count where a product is one strip wide. Without a swizzle the two
// change their parts: the leading offset leads from group to group, 8 chunks, and the stride offset to the
// next 8 columns, of which a product of 8 has none.
QUIRE_DEV unsigned long long matrix_descriptor(const void* p, int width, int leading_bytes) {
  const unsigned long long mode = width == 8 ? 1 : width == 4 ? 2 : width == 2 ? 3 : 0;
  return (shared_address(p) & 0x3ffffu) >> 4 | static_cast<unsigned long long>(leading_bytes >> 4) << 16 |
         static_cast<unsigned long long>(8 * width) << 32 | mode << 62;
}

}  // namespace QUIRE_TARGET
}  // namespace quire
