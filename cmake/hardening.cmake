# What makes a bug in memory harder to use against whoever runs the program: quire_harden(TARGET) gives the flags to an interface
# library. tests/install/hardening_test.py reads the programs for their marks; docs/architecture.md says what each flag is for.
include(CheckCXXCompilerFlag)
include(CheckCXXSourceCompiles)
include(CheckLinkerFlag)

# The highest _FORTIFY_SOURCE that compiler and C library have, or nothing where they (or CMAKE_CXX_FLAGS) define it themselves.
# It works only with optimisation, and takes calls from the sanitizers, which check them better.
function(quire_find_fortify_level result)
  set(${result} "" PARENT_SCOPE)
  set(CMAKE_REQUIRED_FLAGS -O2)
  check_cxx_source_compiles("#ifdef _FORTIFY_SOURCE\n#error\n#endif\nint main() {}" QUIRE_FORTIFY_IS_OURS)
  if(NOT QUIRE_FORTIFY_IS_OURS)
    return()
  endif()
  check_cxx_source_compiles("#define _FORTIFY_SOURCE 3\n#include <cstdlib>\n#if __USE_FORTIFY_LEVEL < 3\n#error\n#endif\nint main() {}"
                            QUIRE_FORTIFY_HAS_LEVEL_3)
  if(QUIRE_FORTIFY_HAS_LEVEL_3)
    set(${result} 3 PARENT_SCOPE)
  else()
    set(${result} 2 PARENT_SCOPE)
  endif()
endfunction()

function(quire_harden target)
  foreach(flag -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
    string(MAKE_C_IDENTIFIER "QUIRE_HAS${flag}" has)
    check_cxx_compiler_flag(${flag} ${has})
    if(${has})
      target_compile_options(${target} INTERFACE ${flag})
    endif()
  endforeach()
  if(NOT QUIRE_SANITIZE AND NOT QUIRE_FUZZ)
    quire_find_fortify_level(level)
    if(level)
      target_compile_definitions(${target} INTERFACE
        $<$<CONFIG:Release,RelWithDebInfo,MinSizeRel>:_FORTIFY_SOURCE=${level}>)
    endif()
  endif()
  # Modules are position-independent by -fPIC, which CMake gives them.
  set(type $<TARGET_PROPERTY:TYPE>)
  target_compile_options(${target} INTERFACE $<$<OR:$<STREQUAL:${type},STATIC_LIBRARY>,$<STREQUAL:${type},EXECUTABLE>>:-fPIE>)
  if(QUIRE_STATIC)
    check_linker_flag(CXX -static-pie QUIRE_HAS_STATIC_PIE)
  else()
    target_link_options(${target} INTERFACE $<$<STREQUAL:${type},EXECUTABLE>:-pie>)
  endif()
  target_link_options(${target} INTERFACE LINKER:-z,relro LINKER:-z,now LINKER:-z,noexecstack)
endfunction()
