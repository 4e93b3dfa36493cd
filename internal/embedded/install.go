package embedded

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// program is a command of the system and the Debian package that has it.
type program struct{ name, pkg string }

// ensurePrograms installs the packages of the programs that are missing, when this process is root and there is apt-get; else
// it returns ErrMissing, which names them.
func ensurePrograms(ctx context.Context, progress io.Writer, programs []program) error {
	if len(missing(programs)) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil || os.Geteuid() != 0 {
		return missingError(missing(programs))
	}
	dir, err := cacheDir("")
	if err != nil {
		return err
	}
	lock, err := waitLock(ctx, filepath.Join(dir, "install.lock"))
	if err != nil {
		return err
	}
	defer lock.release()
	packages := missing(programs) // another process may have installed them meanwhile
	if len(packages) == 0 {
		return nil
	}
	end := begin(progress, "installing "+strings.Join(packages, " "))
	defer end()
	return install(ctx, packages)
}

func missing(programs []program) (packages []string) {
	for _, p := range programs {
		if _, err := exec.LookPath(p.name); err != nil {
			packages = append(packages, p.pkg)
		}
	}
	return packages
}

func missingError(packages []string) error {
	return fmt.Errorf("%w: install it first: apt-get install %s (or your system's packages of that kind)",
		ErrMissing, strings.Join(packages, " "))
}

// install runs apt-get. RUNLEVEL=1 keeps the packages' services from being started: only the programs are wanted.
func install(ctx context.Context, packages []string) error {
	const options = "-q -y --no-install-recommends -o DPkg::Lock::Timeout=300"
	for _, args := range [][]string{{"update", "-q"}, append(append([]string{"install"}, strings.Fields(options)...), packages...)} {
		apt := exec.CommandContext(ctx, "apt-get", args...)
		apt.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "RUNLEVEL=1")
		if output, err := apt.CombinedOutput(); err != nil {
			output = output[max(0, len(output)-logTailBytes):]
			return fmt.Errorf("%w: apt-get %s: %w\n%s", missingError(packages), args[0], err, output)
		}
	}
	return nil
}
