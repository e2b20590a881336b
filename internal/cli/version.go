package cli

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/larder-cache/larder/internal/config"
)

func newVersion(p Process) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.Out, "larder %s (%s, %s/%s)\n", config.Version(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
