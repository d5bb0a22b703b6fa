package knobs

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

const (
	maxSpinUsec   = 1_000_000
	maxDeviceName = 15 // IFNAMSIZ less the terminating zero
	maxPath       = 107
	maxLogPath    = 255 // what the preload object has room for
	// MaxRules bounds the entries of a list, so that the preload object can
	// keep them in a fixed array.
	MaxRules = 64
)

var (
	errEmpty   = errors.New("empty")
	errTooMany = fmt.Errorf("more than %d entries", MaxRules)
)

func checkSwitch(v string) error {
	switch v {
	case "on", "off", "1", "0":
		return nil
	}
	return errors.New("want on or off")
}

func checkPath(v string) error {
	if !strings.HasPrefix(v, "/") {
		return errors.New("want an absolute path")
	}
	if len(v) > maxPath {
		return fmt.Errorf("longer than a socket's path can be (%d)", maxPath)
	}
	return nil
}

func checkLog(v string) error {
	switch v {
	case "off", "error", "info", "debug":
		return nil
	}
	if !strings.HasPrefix(v, "/") {
		return errors.New("want off, error, info, debug or an absolute path")
	}
	if len(v) > maxLogPath {
		return fmt.Errorf("longer than %d bytes", maxLogPath)
	}
	return nil
}

func checkSpin(v string) error {
	n, err := strconv.ParseUint(v, 10, 32)
	if err != nil || n > maxSpinUsec || strings.HasPrefix(v, "+") {
		return fmt.Errorf("want a number from 0 to %d", maxSpinUsec)
	}
	return nil
}

func checkCongestion(v string) error {
	switch v {
	case "host", "cubic", "reno", "bbr", "bbr3":
		return nil
	}
	return fmt.Errorf("%q is none of host, cubic, reno, bbr, bbr3", v)
}

func checkFast(v string) error {
	if v == "all" || v == "none" {
		return nil
	}
	for _, name := range strings.Split(v, ",") {
		switch name {
		case "ack", "batch", "checksum", "cork", "peek", "plain", "prefetch", "recycle", "tso":
		default:
			return fmt.Errorf("%q is none of ack, batch, checksum, cork, peek, plain, prefetch, recycle, tso", name)
		}
	}
	return nil
}

func checkDevices(v string) error {
	if v == "all" {
		return nil
	}
	names := strings.Split(v, ",")
	if len(names) > MaxRules {
		return errTooMany
	}
	for _, name := range names {
		if name == "" {
			return errEmpty
		}
		if len(name) > maxDeviceName || strings.ContainsAny(name, "/ :") {
			return fmt.Errorf("%q is no device name", name)
		}
	}
	return nil
}

func checkListen(v string) error {
	_, err := ParseListen(v)
	return err
}

func checkConnect(v string) error {
	_, err := ParseConnect(v)
	return err
}
