//go:build !race

package userspace

// raceEnabled: the race detector multiplies memory, which is then not judged.
const raceEnabled = false
