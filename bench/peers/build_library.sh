#!/bin/sh
# Builds the library that bench.py loads: bench/peers/build_library.sh OUTPUT.so [compiler flags]
# Needs g++, CMake (for a script only), the headers of fmt, nlohmann-json and Boost.Asio, and libcrypto. Flags: folders of headers, other libraries.
set -e
[ $# -ge 1 ] || { sed -n '2,3s/^# //p' "$0" >&2; exit 2; }
output=$(realpath -m "$1")
shift
cd "$(dirname "$0")/../.."
build=$(mktemp -d)
trap 'rm -r "$build"' EXIT
texts=$(cd src && echo kernels/*.h targets/cuda/tile/*.h tile/*.h tile/lanes/*.h | tr ' ' ',')
tables=$(cd src && echo targets/cuda/tuned/*.json | tr ' ' ',')
embed() {  # FILES FUNCTION
  cmake -DROOT="$PWD/src" -DFILES="$1" -DHEADER=targets/cuda/embedded_text.h -DFUNCTION="$2" -DOUTPUT="$build/$2.cpp" -P cmake/embed_text.cmake
}
embed "$texts" embedded_kernel_text
embed "$tables" embedded_tuned_tables
host="-std=c++20 -O2 -DFMT_HEADER_ONLY"
levels=src/targets/cpu/levels
level="-std=c++17 -O3 -ffp-contract=fast -Wno-maybe-uninitialized"
{
  case $(uname -m) in
    x86_64)
      echo "$levels/v4bf16.cpp $level -march=x86-64-v4 -mprefer-vector-width=512 -mavx512bf16"
      echo "$levels/v4.cpp $level -march=x86-64-v4 -mprefer-vector-width=512"
      echo "$levels/v3.cpp $level -march=x86-64-v3"
      echo "$levels/v2.cpp $level -march=x86-64-v2" ;;
    *) echo "$levels/neon.cpp $level" ;;
  esac
  for source in src/base/*.cpp src/device/*.cpp src/tuning/*.cpp src/attention/*.cpp src/measure/*.cpp src/targets/jit/*.cpp src/targets/cuda/*.cpp src/targets/cpu/*.cpp \
                "$build"/embedded_*.cpp bench/peers/quire_attention.cpp; do
    echo "$source $host"
  done
} > "$build/sources"
flags="-fPIC -fvisibility=hidden -fno-math-errno -Wno-psabi -Isrc -Iinclude $*"
export build flags
xargs -P "$(nproc)" -L 1 sh -c 's=$0; g++ $flags "$@" -c "$s" -o "$build/$(echo "$s" | tr / _).o" || exit 255' < "$build/sources"
mkdir -p "$(dirname "$output")"
g++ -shared -Wl,-Bsymbolic,--exclude-libs,ALL "$build"/*.o "$@" -lcrypto -ldl -lpthread -o "$output"
