# cmake -DSOURCE=folder -DOUTPUT=commit.cpp -P write_commit.cmake
# Writes a C++ file with the commit that SOURCE is at, and leaves a file alone that says so already. Without a repository the
# commit is what `git archive` wrote into cmake/commit.txt, else "unknown". A repository around SOURCE, as a project has that
# carries a copy of it, does not count.
set(commit unknown)
file(STRINGS ${CMAKE_CURRENT_LIST_DIR}/commit.txt archived LIMIT_COUNT 1)
if(archived MATCHES "^[0-9a-f]+$")
  set(commit ${archived})
endif()
if(EXISTS ${SOURCE}/.git)
  find_program(GIT git)
endif()
if(GIT)
  execute_process(COMMAND ${GIT} --no-optional-locks -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                  OUTPUT_VARIABLE described ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE result)
  if(result EQUAL 0 AND described MATCHES "^[0-9a-f]+(-dirty)?$")
    set(commit ${described})
  endif()
endif()
set(text "#include \"version/commit.h\"\n\nnamespace quire {\n\nconst char* const kCommit = \"${commit}\";\n\n}  // namespace quire\n")
set(before "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} before)
endif()
if(NOT text STREQUAL before)
  file(WRITE ${OUTPUT} "${text}")
endif()
