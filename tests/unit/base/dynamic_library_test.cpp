#include "base/dynamic_library.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace quire {
namespace {

TEST(DynamicLibraryTest, OpensTheFirstNameThatLoads) {
  const std::string names[] = {"libquire-is-not-here.so.1", "libm.so.6"};
  const DynamicLibrary library = DynamicLibrary::open(names);
  EXPECT_NE(library.path().string().find("/libm.so.6"), std::string::npos) << library.path();
  double (*cosine)(double) = nullptr;
  library.find("cos", cosine);
  EXPECT_EQ(cosine(0), 1);
}

TEST(DynamicLibraryTest, SaysForEveryNameWhyNot) {
  const std::string names[] = {"libquire-is-not-here.so.1", "/nowhere/libquire.so"};
  try {
    DynamicLibrary::open(names);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kNotFound);
    for (const std::string& name : names)
      EXPECT_NE(std::string(e.what()).find(name), std::string::npos) << e.what();
  }
}

TEST(DynamicLibraryTest, AMissingFunctionIsNamed) {
  const std::string names[] = {"libm.so.6"};
  const DynamicLibrary library = DynamicLibrary::open(names);
  void (*function)() = nullptr;
  try {
    library.find("quire_is_not_here", function);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.kind(), ErrorKind::kUnsupported);
    EXPECT_NE(std::string(e.what()).find("quire_is_not_here"), std::string::npos) << e.what();
  }
}

TEST(DynamicLibraryTest, NamesToTry) {
  using Names = std::vector<std::string>;
  const std::string names[] = {"liba.so.2", "liba.so"};
  EXPECT_EQ(library_names("", names, "/usual"),
            (Names{"liba.so.2", "liba.so", "/usual/liba.so.2", "/usual/liba.so"}));
  EXPECT_EQ(library_names("/some/file.so", names, "/usual"), (Names{"/some/file.so"}));
  EXPECT_EQ(library_names("/usr", names, "/usual"), (Names{"/usr/liba.so.2", "/usr/liba.so"}));
}

}  // namespace
}  // namespace quire
