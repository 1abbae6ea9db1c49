# The two commands a newcomer needs: `make demo` and `make test`. Each installs what is missing.
PREFIX := $(shell docker/install.sh prefix)
JOBS   := $(shell nproc)
# Jobs of two ranks wait for one another now and then: one test more than there are cores.
TESTS  := $(shell echo $$(($$(nproc) + 1)))
UNITS   = $(if $(SINCE),git diff --name-only --diff-filter=d $(SINCE) --,git ls-files)
SET    := $(if $(wildcard /dev/nvidiactl),gpu,build)

.PHONY: demo test bench bench-quick bench-gpu build wheel deb sanitize docs lint format soak clean set-up-build set-up-gpu set-up-full

demo: build  ## trains the built-in cnn on Fashion-MNIST with 2 ranks and writes its artifacts to demo/model
	examples/fashion-mnist/demo.sh demo

build: set-up-$(SET)  ## leaves build/bin/lockstep and build/bin/lockstep-rank
	cmake --preset release -DLOCKSTEP_PREFIX_PATH=$(PREFIX) -DLOCKSTEP_TESTS=OFF >/dev/null
	cmake --build --preset release -j $(JOBS)

wheel: build  ## a wheel of the programs, in build/packages
	$(PREFIX)/bin/python3 packaging/wheel.py build build/packages

deb: build  ## a Debian package of the programs for CPUs, in build/packages
	cpack --config build/CPackConfig.cmake -B build/packages
	rm -r build/packages/_CPack_Packages

test: set-up-full  ## builds everything and runs all tests
	cmake --preset release -DLOCKSTEP_PREFIX_PATH=$(PREFIX) -DLOCKSTEP_TESTS=ON >/dev/null
	cmake --build --preset release -j $(JOBS)
	ctest --test-dir build --output-on-failure -j $(TESTS)

bench: set-up-full  ## Lockstep beside its peers; tables on stdout, figures in benchmarks/results; half an hour
	cmake --preset release -DLOCKSTEP_PREFIX_PATH=$(PREFIX) -DLOCKSTEP_TESTS=ON >/dev/null
	cmake --build --preset release -j $(JOBS) --target lockstep lockstep-rank kernels_benchmark all_reduce_benchmark agreement_benchmark data_benchmark
	$(PREFIX)/bin/python3 benchmarks/kernels/run.py
	$(PREFIX)/bin/python3 benchmarks/collectives/run.py
	$(PREFIX)/bin/python3 benchmarks/collectives/agreement.py
	$(PREFIX)/bin/python3 benchmarks/data/tables.py
	$(PREFIX)/bin/python3 benchmarks/data/samples.py
	$(PREFIX)/bin/python3 benchmarks/data/formats.py
	$(PREFIX)/bin/python3 benchmarks/training/run.py

bench-quick: set-up-full  ## in less than five minutes: has training become slower, beside PyTorch DDP and the figures kept of such a processor?
	cmake --preset release -DLOCKSTEP_PREFIX_PATH=$(PREFIX) >/dev/null
	cmake --build --preset release -j $(JOBS) --target lockstep lockstep-rank
	$(PREFIX)/bin/python3 benchmarks/quick/run.py

bench-gpu: set-up-full  ## the same on this machine's GPU; a quarter of an hour
	cmake --preset release -DLOCKSTEP_PREFIX_PATH=$(PREFIX) -DLOCKSTEP_TESTS=ON >/dev/null
	cmake --build --preset release -j $(JOBS) --target lockstep lockstep-rank lockstep-cuda kernels_benchmark
	$(PREFIX)/bin/python3 benchmarks/kernels/run.py --device cuda --compile
	$(PREFIX)/bin/python3 benchmarks/gpu/training.py

soak: test  ## the long forms of what `make test` runs short; hostile input under AddressSanitizer, too
	docker/soak.sh
	LOCKSTEP_SOAK=1 ctest --test-dir build --output-on-failure -C soak -L soak
	cmake --preset asan -DLOCKSTEP_PREFIX_PATH=$(PREFIX) >/dev/null
	cmake --build build-asan -j $(JOBS) --target launch_hostile_jobs_test artifacts_hostile_test artifacts_onnx_hostile_test checkpoint_hostile_test data_hostile_test
	LOCKSTEP_SOAK=1 ctest --test-dir build-asan --output-on-failure -R hostile
	cmake --preset fuzz -DLOCKSTEP_PREFIX_PATH=$(PREFIX) >/dev/null
	cmake --build --preset fuzz -j $(JOBS)
	tests/fuzz/run build-fuzz 600

sanitize: sanitize-asan sanitize-tsan  ## unit and MPI tests under AddressSanitizer and UBSan, those without libtorch under ThreadSanitizer

sanitize-%: set-up-full
	cmake --preset $* -DLOCKSTEP_PREFIX_PATH=$(PREFIX) >/dev/null
	cmake --build --preset $* -j $(JOBS)
	ctest --test-dir build-$* --output-on-failure -j $(JOBS)

docs: build  ## writes what documents repeat of `lockstep`: hyperparameters, exit codes
	LOCKSTEP_BIN=build/bin $(PREFIX)/bin/python3 tests/judges/readme.py --write

# Not over benchmarks: clang-tidy 14 takes Google Benchmark's registration for a leak, in its header. Nor over the emulator
# of CUDA: it knows no std::source_location. Nor over what is built from an install prefix.
lint: set-up-full  ## clang-format and clang-tidy, as errors; SINCE=COMMIT: of the units that have changed since
	cmake --preset release -B build-lint -DLOCKSTEP_PREFIX_PATH=$(PREFIX) -DLOCKSTEP_TESTS=ON -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DCMAKE_UNITY_BUILD=OFF >/dev/null
	cmake --build build-lint -j $(JOBS) --target lockstep_saved_model_messages lockstep_onnx_messages
	git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs clang-format --dry-run -Werror
	$(UNITS) '*.cpp' ':!benchmarks' ':!examples' ':!tests/library' ':!tests/kernels/emulator' ':!tests/kernels/Emulat*' | xargs -r -n 1 -P $(JOBS) clang-tidy --quiet --extra-arg=-Wno-unknown-warning-option -p build-lint

format: set-up-full
	git ls-files '*.h' '*.cpp' '*.cu' '*.cuh' | xargs clang-format -i

clean:
	rm -rf build build-* demo

set-up-build set-up-gpu set-up-full: set-up-%:
	@docker/install.sh $*
