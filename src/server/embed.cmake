# cmake -DINPUT=index.html -DOUTPUT=page.cpp -P embed.cmake: the file as a C++ array. A string literal would do, were
# their length not limited.
file(READ "${INPUT}" bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
string(REGEX REPLACE "((0x..,){24})" "\\1\n" bytes "${bytes}")
file(WRITE "${OUTPUT}.tmp" "// Made by embed.cmake.
#include \"server/page.h\"

namespace quire {
namespace {

constexpr unsigned char kPage[] = {
${bytes}};

}  // namespace

std::string_view live_page() { return {reinterpret_cast<const char*>(kPage), sizeof(kPage)}; }

}  // namespace quire
")
file(RENAME "${OUTPUT}.tmp" "${OUTPUT}")
