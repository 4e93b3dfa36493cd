// Package api holds what is generated from openapi.yaml for the server: the
// types of the wire and the interface whose methods are the described requests.
package api

//go:generate go tool -modfile=../../../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../openapi.yaml
