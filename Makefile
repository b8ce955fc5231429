# A thin front for CMake: make, make demo, make test, make bench, make install,
# make amalgamation, make clean.
#
#     JOBS=4             jobs of build and tests
#     CMAKE_FLAGS=...    for the configuration: CC=clang CMAKE_FLAGS=-DCHAINRULE_WERROR=ON make
#     PREFIX=, DESTDIR=  where to install

JOBS ?= 2
PREFIX ?= /usr/local

# For the makes beneath, which would say of each target which folder they are in.
MAKEFLAGS += --no-print-directory

.PHONY: all configure amalgamation demo test bench bench-peers install clean

all: configure
	cmake --build build -j $(JOBS)

configure:
	@mkdir -p build
	@cmake -S . -B build $(CMAKE_FLAGS) >build/configure.log || { cat build/configure.log; exit 1; }

# The library as two files: build/chainrule.c and build/chainrule.h.
amalgamation:
	tools/amalgamate.sh build

# The lesson in one go: see examples/demo.c.
demo: configure
	cmake --build build -j $(JOBS) --target examples
	build/examples/demo

test: all
	ctest --test-dir build --output-on-failure -j $(JOBS)

bench: all
	bench/run.sh

# The Python peers, from the network: gigabytes.
bench-peers:
	bench/setup_peers.sh

install: all
	cmake --install build --prefix $(PREFIX)

# Leaves the configuration, and the Python peers under build/peers.
clean:
	if [ -e build/CMakeCache.txt ]; then cmake --build build --target clean; fi
