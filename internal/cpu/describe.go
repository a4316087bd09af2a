package cpu

import "github.com/klauspost/cpuid/v2"

// Description is what the processor says of itself. What it does not say is "" or 0.
type Description struct {
	Brand, Vendor           string
	Family, Model, Stepping int
	Hypervisor              string
	PhysicalCores           int // of the package that this process runs on
	L1D, L1I, L2, L3        int // bytes, of the core that was asked
}

// Describe returns the description of this machine's processor.
func Describe() Description {
	c := &cpuid.CPU
	var hypervisor string
	if c.HypervisorVendorID != cpuid.VendorUnknown {
		hypervisor = c.HypervisorVendorID.String()
	}
	return Description{
		Brand: c.BrandName, Vendor: c.VendorString,
		Family: c.Family, Model: c.Model, Stepping: c.Stepping,
		Hypervisor:    hypervisor,
		PhysicalCores: c.PhysicalCores,
		// The library says -1 for what it could not find out.
		L1D: max(c.Cache.L1D, 0), L1I: max(c.Cache.L1I, 0), L2: max(c.Cache.L2, 0), L3: max(c.Cache.L3, 0),
	}
}
