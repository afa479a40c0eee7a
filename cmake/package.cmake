# What other projects link: quire::quire, one archive of all that stands behind include/quire, with nothing of ours but that
# folder. `cmake --install` puts program, headers, archive, CMake package and quire.pc under a prefix that may be moved.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(parts base version device tuning attention text files template chat engine target_cpu target_jit target_cuda target_emulator
          target_all model assembly facade)
list(TRANSFORM parts REPLACE "(.+)" "$<TARGET_OBJECTS:quire_\\1>" OUTPUT_VARIABLE objects)
add_library(quire_archive STATIC ${objects})
add_library(quire::quire ALIAS quire_archive)
set_target_properties(quire_archive PROPERTIES OUTPUT_NAME quire EXPORT_NAME quire LINKER_LANGUAGE CXX)
target_compile_features(quire_archive PUBLIC cxx_std_20)
target_include_directories(quire_archive INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                                                   $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# Other libraries, as names: no path of this machine is written into what is installed.
set(QUIRE_LINK_NAMES ${CMAKE_DL_LIBS} pcre2-8 icuuc icudata crypto boost_context)
if(NOT QUIRE_ARCHIVES)
  list(APPEND QUIRE_LINK_NAMES fmt)
endif()
target_link_libraries(quire_archive PRIVATE ${QUIRE_LINK_NAMES} Threads::Threads)

if(NOT QUIRE_INSTALL)
  return()
endif()
install(TARGETS quire_archive EXPORT quire ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/quire DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/quire)
install(EXPORT quire NAMESPACE quire:: FILE quireTargets.cmake DESTINATION ${package_folder} COMPONENT development)
set(generated ${PROJECT_BINARY_DIR}/package)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/quireConfig.cmake.in ${generated}/quireConfig.cmake
                              INSTALL_DESTINATION ${package_folder} NO_SET_AND_CHECK_MACRO)
# 0.x: another minor version may change the interface.
write_basic_package_version_file(${generated}/quireConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${generated}/quireConfig.cmake ${generated}/quireConfigVersion.cmake DESTINATION ${package_folder}
        COMPONENT development)

file(RELATIVE_PATH QUIRE_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
list(TRANSFORM QUIRE_LINK_NAMES PREPEND -l OUTPUT_VARIABLE QUIRE_PC_LIBS)
list(JOIN QUIRE_PC_LIBS " " QUIRE_PC_LIBS)
configure_file(${CMAKE_CURRENT_LIST_DIR}/quire.pc.in ${generated}/quire.pc @ONLY)
install(FILES ${generated}/quire.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
