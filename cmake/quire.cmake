# Options that every target of the project shares, and the functions that declare one. Targets link quire_options privately:
# warnings, flags and include folders are ours and must not reach whoever links the library (tests/install).
include(${CMAKE_CURRENT_LIST_DIR}/hardening.cmake)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

find_program(QUIRE_CCACHE ccache)
if(QUIRE_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${QUIRE_CCACHE})
endif()

add_library(quire_options INTERFACE)
# -Wno-restrict: GCC 12 finds overlaps of 2^63 bytes in std::string::operator+ (its bug 105651).
target_compile_options(quire_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -fno-math-errno
                                               $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
target_include_directories(quire_options INTERFACE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
if(QUIRE_SANITIZE)
  target_compile_options(quire_options INTERFACE -fsanitize=${QUIRE_SANITIZE} -fno-sanitize-recover=all
                                                 -fno-omit-frame-pointer -g)
  target_link_options(quire_options INTERFACE -fsanitize=${QUIRE_SANITIZE})
endif()
if(QUIRE_FUZZ)
  # Every library is instrumented for coverage; only the fuzz targets link libFuzzer's main.
  target_compile_options(quire_options INTERFACE -fsanitize=fuzzer-no-link)
  target_link_options(quire_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(QUIRE_HARDENING)
  quire_harden(quire_options)
endif()
set(QUIRE_ARCHIVES OFF)  # other libraries are linked as archives
if(QUIRE_STATIC OR QUIRE_PORTABLE)
  set(QUIRE_ARCHIVES ON)
  set(QUIRE_FMT fmt::fmt-header-only)
  if(QUIRE_STATIC AND QUIRE_HARDENING AND QUIRE_HAS_STATIC_PIE)
    target_link_options(quire_options INTERFACE -static-pie)
  elseif(QUIRE_STATIC)
    target_link_options(quire_options INTERFACE -static)
  else()
    target_link_options(quire_options INTERFACE -static-libstdc++ -static-libgcc)
  endif()
else()
  set(QUIRE_FMT fmt::fmt)
endif()

# quire_library(NAME SOURCES a.cpp b.cpp DEPS quire_base fmt::fmt): one library a folder. DEPS are the only other
# folders of the project whose headers it may include; tests/unit/layering/layering_test.py checks that.
function(quire_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  # Sources with options of their own, such as the kernels of a level, stay alone.
  set_target_properties(${name} PROPERTIES UNITY_BUILD ${QUIRE_UNITY} UNITY_BUILD_BATCH_SIZE 10)
  if(QUIRE_UNITY)  # GCC takes a source file that is included for a header, whose types should have linkage
    target_compile_options(${name} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
  endif()
  target_link_libraries(${name} PRIVATE quire_options PUBLIC ${ARG_DEPS})
endfunction()

# quire_embed(OUTPUT.cpp ROOT folder FILES a.h b.h HEADER x/y.h FUNCTION name): a source file with the text of FILES in ROOT, which
# the function that HEADER declares returns.
function(quire_embed output)
  cmake_parse_arguments(ARG "" "ROOT;HEADER;FUNCTION" "FILES" ${ARGN})
  list(JOIN ARG_FILES "," joined)
  list(TRANSFORM ARG_FILES PREPEND ${ARG_ROOT}/ OUTPUT_VARIABLE paths)
  set(script ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DROOT=${ARG_ROOT} -DFILES=${joined} -DHEADER=${ARG_HEADER} -DFUNCTION=${ARG_FUNCTION} -DOUTPUT=${output} -P ${script}
    DEPENDS ${paths} ${script}
    COMMENT "Embedding ${ARG_FUNCTION}"
    VERBATIM)
endfunction()

# quire_test(NAME SOURCES a.cpp DEPS quire_x [TIMEOUT seconds] [ARGS …]): one GoogleTest binary, one ctest entry.
function(quire_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;ARGS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE quire_options ${ARG_DEPS} GTest::gtest GTest::gtest_main)
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  target_compile_definitions(${name} PRIVATE QUIRE_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name} ${ARG_ARGS})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT})
endfunction()

# quire_fuzz(NAME SOURCES a.cpp DEPS quire_x): a libFuzzer target with -DQUIRE_FUZZ=ON; otherwise a test that runs it over the
# inputs in tests/fuzz/corpus/NAME, if there are any.
function(quire_fuzz name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(QUIRE_FUZZ)
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE quire_options ${ARG_DEPS})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  elseif(QUIRE_TESTS AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
    add_executable(${name}_seeds ${ARG_SOURCES} replay_main.cpp)
    target_link_libraries(${name}_seeds PRIVATE quire_options ${ARG_DEPS})
    add_test(NAME ${name}_seeds COMMAND ${name}_seeds ${CMAKE_CURRENT_SOURCE_DIR}/corpus/${name})
  endif()
endfunction()
