package steer

// The object is committed, so that building sluice needs no clang. scripts/check-generated makes
// it anew and compares.
//
//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -go-package steer -target bpfel -type address -type listener_key -type listener -type connect_key -type device steer steer.c -- -O2 -Wall -Wextra -Werror
