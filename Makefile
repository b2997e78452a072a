# `make solve`: install into .venv, for this processor, and solve a three-dimensional Poisson problem. `make test`: install
# everything, and run the whole test suite.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := $(shell find csrc src kernels -type f -not -path '*/lib/*' -not -name '*.pyc') CMakeLists.txt setup.py pyproject.toml
CPP := $(shell find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh')

# So many processes share the tests; `make test WORKERS=`: one does all. Their threads sleep while they wait, or they
# would hold each other up.
WORKERS ?= 2
PYTEST := $(if $(WORKERS),OMP_WAIT_POLICY=passive OPENBLAS_NUM_THREADS=1) $(BIN)/python -m pytest \
  $(if $(WORKERS),-n $(WORKERS) --dist worksteal)

.PHONY: solve test lint docs bench wheel sanitize sanitize-cuda threads clean

solve: $(if $(wildcard .venv/installed),.venv/installed,.venv/installed-here)
	$(BIN)/fastsciml solve

test: lint sanitize threads
	$(PYTEST) --durations=15

lint: .venv/ready-for-tests
	$(BIN)/ruff check src tests bench examples kernels docs/site setup.py
	$(BIN)/ruff format --check src tests bench examples kernels docs/site setup.py
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run --Werror $(CPP)

# The kernels' tests once more, in a build that stops at the first bad access or undefined operation. Without what goes
# through the same kernels once more, on tensors as small: torch's own checks of operators and gradients, and compilation.
sanitize: .venv/ready-for-tests
	$(checked_build)
	FASTSCIML_LIBRARY_DIR=$(CURDIR)/build/sanitize/lib ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	  $(PYTEST) tests/ops tests/nn tests/solvers -m "not slow" -k "not ($(OF_TORCH) or cuda-host)"

# The CUDA operators' tests in such a build of the host runtime, which sees kernels' local arrays, too. By hand: takes long.
sanitize-cuda: .venv/ready-for-tests
	cd tests && FASTSCIML_SANITIZE=address,undefined $(CURDIR)/$(BIN)/python -c "import cuda_on_host; cuda_on_host.build()"
	FASTSCIML_SANITIZE=address,undefined ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($(CXX) -print-file-name=libasan.so) $$($(CXX) -print-file-name=libubsan.so)" \
	  $(BIN)/python -m pytest tests/cuda/test_host_rules.py tests/cuda/test_cycle.py tests/ops -m "not slow" \
	  -k "cuda-host or test_cycle or test_host_rules"

# And those on two threads in one that sees races, where every loop has two, however short. Reports are in build/threads.
threads: .venv/ready-for-tests
	$(checked_build)
	rm -f build/threads/report.*
	@# Nobody sees the exit code of a process of several: a report is a failure.
	FASTSCIML_LIBRARY_DIR=$(CURDIR)/build/threads/lib LD_PRELOAD=$$($(CXX) -print-file-name=libtsan.so) \
	  TSAN_OPTIONS="suppressions=$(CURDIR)/tests/threads.supp log_path=$(CURDIR)/build/threads/report" \
	  $(PYTEST) tests/ops -m "not slow" -k "(two-threads or test_poisson_apply) and not ($(OF_TORCH) or cuda-host)"
	@! cat build/threads/report.* 2> /dev/null

OF_TORCH := opcheck or torchs_rules or compiles or first_and_second_order or gradients_with_a_given_variance or \
  gradients_of_every_input or test_gradients.py
sanitize: SANITIZERS := address,undefined
threads: SANITIZERS := thread
define checked_build
	PATH=$(CURDIR)/$(BIN):$$PATH cmake -S . -B build/$@ -G Ninja -DFASTSCIML_SANITIZE=$(SANITIZERS) \
	  -DFASTSCIML_LIBRARY_DIR=$(CURDIR)/build/$@/lib -DPython_EXECUTABLE=$(CURDIR)/$(BIN)/python
	PATH=$(CURDIR)/$(BIN):$$PATH cmake --build build/$@
endef

# The site of docs/, in build/site. Docstrings are read from the sources; a warning is an error.
docs: .venv/ready-for-tests
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

bench: .venv/ready-for-tests
	$(BIN)/python -m bench

# One wheel for every Python 3 and torch, in dist/: what it links to is named by the tag, and torch's libraries are left
# to torch.
wheel: .venv/ready-for-tests
	rm -rf build/wheels
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pip wheel -q --no-build-isolation --no-deps -w build/wheels .
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/auditwheel repair --exclude 'libtorch*' --exclude 'libc10*' -w dist build/wheels/*.whl

# torch comes first and pinned: the CPU build is small, and the build below takes its headers from it.
.venv/torch:
	@$(PYTHON) -c "import venv, ensurepip" || { echo "Python's venv module is missing: install python3-venv" >&2; exit 1; }
	@command -v $(CXX) > /dev/null || { echo "no C++ compiler: install g++ 12 or later" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q torch==2.13.0
	touch $@

.venv/build-tools: .venv/torch
	$(BIN)/python -m pip install -q "setuptools>=77" wheel "cmake>=3.25" ninja
	touch $@

.venv/installed .venv/installed-here: .venv/build-tools $(SOURCES)
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m pip install -q --no-build-isolation -e .
	touch $@

# A third of the compilation: the SIMD level that torch finds here, and CUDA where there is a GPU.
.venv/installed-here: export FASTSCIML_CMAKE_ARGS += -DFASTSCIML_SIMD_LEVELS=$(shell $(BIN)/python -c "import torch; \
  print({'AVX512': 'avx512', 'AVX2': 'avx2'}.get(torch.backends.cpu.get_cpu_capability(), 'generic'))") \
  -DFASTSCIML_CUDA=$(if $(shell nvidia-smi -L 2> /dev/null),ON,OFF)

.venv/ready-for-tests: .venv/installed
	$(BIN)/python -m pip install -q --no-build-isolation -e .[dev]
	touch $@

clean:
	rm -rf build .venv src/fastsciml/lib
