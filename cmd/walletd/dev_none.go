//go:build production

package main

// devCommands is empty: what goes into an image links nothing of embedded.
type devCommands struct{}
