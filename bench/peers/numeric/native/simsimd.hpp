// The fastest of SimSIMD's kernels: its own choice is by what the CPU has, not by a clock.
#pragma once

#define SIMSIMD_DYNAMIC_DISPATCH 1
#define SIMSIMD_NATIVE_F16 0
#define SIMSIMD_NATIVE_BF16 0
#include <simsimd/simsimd.h>

#include <cstddef>

struct Kernel {
    simsimd_metric_dense_punned_t call;
    char const *name;
};

struct Capability {
    simsimd_capability_t bit;
    char const *name;
};

inline Capability const capabilities[] = {
    {simsimd_cap_serial_k, "serial"},     {simsimd_cap_haswell_k, "haswell"}, {simsimd_cap_skylake_k, "skylake"},
    {simsimd_cap_ice_k, "ice"},           {simsimd_cap_genoa_k, "genoa"},     {simsimd_cap_sapphire_k, "sapphire"},
    {simsimd_cap_turin_k, "turin"},       {simsimd_cap_sierra_k, "sierra"},
};

// best_kernel times all kernels of a kind that this CPU can run on the data and returns the fastest.
Kernel best_kernel(simsimd_metric_kind_t kind, simsimd_datatype_t type, void const *a, void const *b, std::size_t n);
