"""Triton kernels, one file per operator family; they need the package triton."""
