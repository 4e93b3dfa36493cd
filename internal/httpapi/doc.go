// Package httpapi is HTTP in front of accept and balance: it turns requests into
// operations and reads, and their outcomes into answers. openapi.yaml describes it and is the source of
// truth; package api is generated from it.
//
// A request goes through CORS, the route table, metrics and panic recovery to the
// method of server that is named like the request's operationId.
package httpapi
