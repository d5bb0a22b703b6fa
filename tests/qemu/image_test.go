package qemu

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sluice-net/sluice/tests/testrig"
)

// modules are loaded in the guest before anything else, with those they need; one that the kernel has built in is none.
var modules = []string{
	"virtio_pci", "virtio_net", "veth", "8021q", "tcp_diag", "xsk_diag",
}

// kernel is one of those that scripts/qemu unpacked.
type kernel struct{ dir, name string }

// image is the file that Linux boots from.
func (k kernel) image(t *testing.T) string {
	var found []string
	for _, at := range []string{"boot/vmlinuz-*", "usr/lib/modules/*/vmlinuz"} { // the latter in newer packages
		some, err := filepath.Glob(filepath.Join(k.dir, at))
		require.NoError(t, err)
		found = append(found, some...)
	}
	require.Len(t, found, 1, "kernels below %s", k.dir)
	return found[0]
}

// version is the name of its package.
func (k kernel) version(t *testing.T) string {
	name, err := os.ReadFile(filepath.Join(k.dir, "version"))
	require.NoError(t, err)
	return string(name)
}

// since tells whether it is that Linux or a later one.
func (k kernel) since(t *testing.T, major, minor int) bool {
	var is, sub int
	_, err := fmt.Sscanf(k.version(t), "linux-image-%d.%d", &is, &sub)
	require.NoError(t, err)
	return is > major || is == major && sub >= minor
}

func (k kernel) before64(t *testing.T) bool { return !k.since(t, 6, 4) }

// zeroCopy: virtio_net reads programs' memory since 6.11, and writes there since 6.13; sockets ask for both.
func (k kernel) zeroCopy(t *testing.T) bool { return k.since(t, 6, 13) }

// dma has the device ask for addresses by the kernel's DMA interface, for which alone virtio_net has zero-copy.
func (k kernel) dma(t *testing.T) string {
	if k.zeroCopy(t) {
		return ",iommu_platform=on,disable-legacy=on"
	}
	return ""
}

// insmods are the paths of the modules and of what they need, in the order in which they can be loaded.
func (k kernel) insmods(t *testing.T, names []string) (order []string) {
	files := map[string]string{}
	for _, at := range []string{"lib/modules", "usr/lib/modules"} {
		_ = filepath.WalkDir(filepath.Join(k.dir, at), func(path string, d fs.DirEntry, err error) error {
			if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok && err == nil && !d.IsDir() {
				files[strings.ReplaceAll(name, "-", "_")] = path
			}
			return nil
		})
	}
	done := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		path := files[name]
		if path == "" || done[name] {
			return
		}
		done[name] = true
		for _, dep := range needs(t, path) {
			add(dep)
		}
		order = append(order, path)
	}
	for _, n := range names {
		add(n)
	}
	return order
}

var dependsOn = regexp.MustCompile(`(?:^|\x00)depends=([^\x00]*)`)

// needs are the modules that a module says it depends on.
func needs(t *testing.T, path string) []string {
	data := plainModule(t, path)
	f, err := elf.NewFile(bytes.NewReader(data))
	require.NoError(t, err, path)
	info, err := f.Section(".modinfo").Data()
	require.NoError(t, err, path)
	m := dependsOn.FindSubmatch(info)
	if m == nil || len(m[1]) == 0 {
		return nil
	}
	return strings.Split(strings.ReplaceAll(string(m[1]), "-", "_"), ",")
}

// plainModule is a module's object file; newer kernels of Debian have them compressed.
func plainModule(t *testing.T, path string) []byte {
	if strings.HasSuffix(path, ".xz") {
		out, err := exec.Command("xz", "-dc", path).Output()
		require.NoError(t, err, path)
		return out
	}
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	return data
}

// root is the guest's file system, in the making.
type root struct {
	t   *testing.T
	dir string
}

// build makes the guest's file system: busybox, the kernel's modules, sluice, and what the scenario names.
func build(t *testing.T, k kernel, m machine) string {
	r := root{t, t.TempDir()}
	for _, dir := range []string{"proc", "sys", "dev", "run", "etc", "bin", "modules", "var/log/nginx", "var/lib/nginx", "root"} {
		require.NoError(t, os.MkdirAll(filepath.Join(r.dir, dir), 0o755))
	}
	require.NoError(t, os.Mkdir(filepath.Join(r.dir, "tmp"), 0o777|os.ModeSticky))
	r.write("init", guestInit, 0o755)
	r.write("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n", 0o644)
	r.write("etc/group", "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n", 0o644)
	for i, path := range k.insmods(t, modules) {
		name, _, _ := strings.Cut(filepath.Base(path), ".ko")
		r.write(fmt.Sprintf("modules/%02d-%s.ko", i, name), string(plainModule(t, path)), 0o644)
	}
	r.copy("/bin/busybox", "/bin/busybox")
	for _, name := range []string{"sluice", "libsluice.so", "libsluice_engine.so"} {
		r.program(testrig.Built(t, name), "/sluice/"+name)
	}
	for _, p := range m.programs {
		r.program(p, p)
	}
	for to, from := range m.files {
		r.program(from, to)
	}
	image := filepath.Join(t.TempDir(), "initrd")
	out, err := exec.Command("sh", "-c", `cd "$0" && find . | cpio -o -H newc -R 0:0 --quiet > "$1"`, r.dir, image).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return image
}

func (r root) write(name, text string, mode os.FileMode) {
	path := filepath.Join(r.dir, name)
	require.NoError(r.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(r.t, os.WriteFile(path, []byte(text), mode))
	require.NoError(r.t, os.Chmod(path, mode))
}

func (r root) copy(from, to string) {
	if _, err := os.Stat(filepath.Join(r.dir, to)); err == nil {
		return
	}
	data, err := os.ReadFile(from)
	require.NoError(r.t, err)
	r.write(to, string(data), 0o755)
}

var libraryPath = regexp.MustCompile(`(?m)(/\S+) \(0x`)

// program copies a file and the shared objects that the loader would give it, each to its own path.
func (r root) program(from, to string) {
	r.copy(from, to)
	out, _ := exec.Command("ldd", from).CombinedOutput() // fails for a static one, which needs nothing
	for _, m := range libraryPath.FindAllStringSubmatch(string(out), -1) {
		r.copy(m[1], m[1])
	}
}
