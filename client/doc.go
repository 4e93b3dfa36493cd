// Package client calls walletd over HTTP. All but New, ProblemOf and Operation.Receipt is
// generated from the service's OpenAPI description.
//
// An answer of a …WithResponse call has its value in JSON200, JSON201 or JSON202, and else is
// a problem, or comes from something in front of walletd. All three are nil then.
package client

//go:generate go tool -modfile=../tools/go.mod oapi-codegen -config oapi-codegen.yaml ../internal/httpapi/openapi.yaml
