#!/bin/sh
# Fetches the numeric peers from PyPI, in pinned versions, and compiles build/peers, the program that
# measures them. Needs python3 with venv, g++ 12 or newer and unzip; nothing is installed outside build/.
# A peer that cannot be had is left out and said so in the tables.
set -e
cd "$(dirname "$0")"
mkdir -p build
cd build

SIMSIMD=6.5.16 NUMKONG=7.8.6 USEARCH=2.26.6 ONEDNN=2023.2.0

[ -f venv/ready ] || { python3 -m venv venv && venv/bin/pip install -q setuptools wheel numpy pybind11 && touch venv/ready; }
sources() { # NAME VERSION: the source package
	[ -d "$1-$2" ] || {
		venv/bin/pip download -q --no-deps --no-build-isolation --no-binary :all: "$1==$2"
		tar xzf "$1-$2.tar.gz"
	}
}
wheel() { # NAME VERSION: the binary package
	dir=$(echo "$1" | tr - _)-$2
	[ -d "$dir" ] || {
		venv/bin/pip download -q --no-deps --only-binary :all: "$1==$2"
		unzip -q "$dir"-*.whl -d "$dir"
	}
}

sources simsimd $SIMSIMD
sources numkong $NUMKONG
sources usearch $USEARCH

# With OpenMP, as the other flavours of the package need a SYCL run-time and submit every call to a queue.
onednn=-DNO_ONEDNN
if wheel onednn-cpu-gomp $ONEDNN && wheel onednn-devel-cpu-gomp $ONEDNN; then
	lib=$PWD/onednn_cpu_gomp-$ONEDNN/onednn_cpu_gomp-$ONEDNN.data/data/lib
	onednn="-Ionednn_devel_cpu_gomp-$ONEDNN/onednn_devel_cpu_gomp-$ONEDNN.data/data/include"
	libs="-L$lib -Wl,-rpath,$lib -ldnnl"
else
	echo "setup.sh: going on without oneDNN" >&2
fi

# Flags as in the packages' own builds: kernels for every CPU are compiled in and chosen at run time. Without
# the alignment it is up to the linker whether SimSIMD's dot product of 384 takes 11 ns or 19.
objects=
compile() { # SOURCE COMPILER FLAGS...
	source=$1 object=$(echo "${1#../}" | tr / _).o
	shift
	objects="$objects $object"
	[ "$object" -nt "$source" ] || "$@" -O3 -falign-functions=64 -falign-loops=64 -falign-jumps=64 -w \
		-Isimsimd-$SIMSIMD/include -Inumkong-$NUMKONG/include -Iusearch-$USEARCH/include -c "$source" -o "$object"
}
compile simsimd-$SIMSIMD/c/lib.c gcc
for f in numkong-$NUMKONG/c/*.c; do
	compile "$f" gcc -std=c11 -DNK_DYNAMIC_DISPATCH=1 -DNK_TARGET_HASWELL=1 -DNK_TARGET_SKYLAKE=1 -DNK_TARGET_ICELAKE=1 -DNK_TARGET_GENOA=1 -DNK_TARGET_ALDER=1
done
compile ../native/main.cpp g++ -std=c++17
compile ../native/simsimd.cpp g++ -std=c++17
compile ../native/usearch.cpp g++ -std=c++17 -ffast-math -DUSEARCH_USE_NUMKONG=1 -DNK_DYNAMIC_DISPATCH=1
compile ../native/onednn.cpp g++ -std=c++17 -fopenmp $onednn
g++ $objects -o peers -fopenmp $libs
