package httpapi

import (
	_ "embed" // for the description
	"net/http"
	"strings"

	"github.com/swaggest/swgui"
	"github.com/swaggest/swgui/v5/static"
	"github.com/swaggest/swgui/v5emb"
)

// Where the description and its Swagger page are.
const (
	descriptionPath = "/api/v1/openapi.yaml"
	swaggerPath     = "/api/v1/swagger"
	swaggerIndex    = swaggerPath + "/index.html"
)

//go:embed openapi.yaml
var description []byte

// addPages adds what a person reads: the description and Swagger UI, which is
// compiled in and needs no other host.
func (s *server) addPages(table map[string]http.HandlerFunc) {
	toIndex := http.RedirectHandler(swaggerIndex, http.StatusFound).ServeHTTP
	table["GET "+descriptionPath] = describe
	table["GET "+swaggerPath] = toIndex
	table["GET "+swaggerPath+"/{$}"] = toIndex
	table["GET "+swaggerPath+"/{file}"] = s.swagger()
}

func describe(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/yaml")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(description)
}

// sendLinesAsTheyAre takes back what Swagger UI does to the example of a body whose
// media type has "json" in its name: it sends it as one JSON string.
const sendLinesAsTheyAre = `r => {
	if (r.headers?.["Content-Type"] === "application/x-ndjson" && typeof r.body === "string" && r.body.startsWith('"')) r.body = JSON.parse(r.body)
	return r
}`

// swagger serves Swagger UI's page and its assets.
func (s *server) swagger() http.HandlerFunc {
	ui := v5emb.NewHandlerWithConfig(swgui.Config{
		Title:       strings.TrimSpace("walletd " + s.Version),
		SwaggerJSON: descriptionPath,
		BasePath:    swaggerPath,
		SettingsUI: map[string]string{
			"showExtensions":         "false", // x-order and its like concern the generator
			"displayRequestDuration": "true",
			"requestInterceptor":     sendLinesAsTheyAre,
		},
	})
	return func(w http.ResponseWriter, r *http.Request) {
		switch file := r.PathValue("file"); {
		case file == "index.html":
			index := r.Clone(r.Context())
			index.URL.Path = swaggerPath // the library has its page there
			ui.ServeHTTP(w, index)
		case isAsset(file):
			ui.ServeHTTP(w, r)
		default:
			s.unknownPath(w, r)
		}
	}
}

func isAsset(name string) bool {
	for _, n := range []string{name, name + ".gz"} {
		if f, err := static.FS.Open(n); err == nil {
			_ = f.Close()
			return name != "."
		}
	}
	return false
}
