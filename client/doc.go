// Package client calls walletd over HTTP. All but New is generated from the
// service's OpenAPI description.
package client

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../internal/httpapi/openapi.yaml
