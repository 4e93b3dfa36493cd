//go:build production

package main

// devCommand is empty: what goes into an image links nothing of embedded.
type devCommand struct{}
