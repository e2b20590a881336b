package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/larder-cache/larder/internal/core"
)

// Names in the data directory.
const (
	clientFile = "client.json"
	// AuthorityFile holds the certificate that clients of TLS endpoints trust.
	AuthorityFile = "ca.pem"
)

// ClientFile is what a server leaves in its data directory for the commands of
// the same user.
type ClientFile struct {
	// Endpoint is the URL of the API.
	Endpoint    string      `json:"endpoint"`
	Region      string      `json:"region"`
	AccessKeyID string      `json:"accessKeyId"`
	Secret      core.Sealed `json:"secret"`
}

// Write puts the file in place at once, readable by its owner only.
func (f ClientFile) Write(dataDir string) error {
	data, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("encode %s: %w", clientFile, err)
	}
	tmp, err := os.CreateTemp(dataDir, clientFile+".*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", clientFile, err)
	}
	_, err = tmp.Write(append(data, '\n'))
	err = errors.Join(err, tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(dataDir, clientFile))
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", clientFile, err)
	}
	return nil
}

// ReadClientFile reads what Write wrote. The error is fs.ErrNotExist where no
// server has run.
func ReadClientFile(dataDir string) (ClientFile, error) {
	var f ClientFile
	data, err := os.ReadFile(filepath.Join(dataDir, clientFile))
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("%s: %w", filepath.Join(dataDir, clientFile), err)
	}
	return f, nil
}
