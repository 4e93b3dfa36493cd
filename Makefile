# Everything needs Go. `make test` also needs a JDK and Maven (the Kafka broker), a
# redis-server and Chromium: as root it installs them with apt-get, else it says
# which package is missing. PostgreSQL is fetched by the tests themselves.

GOLANGCI = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN   = golang.org/x/vuln/cmd/govulncheck@v1.9.0
VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
CHAOS    = go test -tags chaos -count=1 -v -timeout 60m -run '^(TestChaos|TestTheReadmeHasEveryFault)$$' ./e2e -args
LDFLAGS  = -s -w -X github.com/walletd/walletd/internal/build.stamped=$(VERSION)

.DEFAULT_GOAL := help
.PHONY: help run build test chaos test-unit sim mutants fuzz lint generate generated vuln ci clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Without debugging information the first build of all dependencies is a tenth shorter.
run: ## Run the service with everything it needs, data under ./.walletd
	CGO_ENABLED=0 go run -gcflags=all=-dwarf=false -ldflags='-s -w' ./cmd/walletd dev

build: ## Build walletd (as it goes into an image) and walletctl into ./bin
	CGO_ENABLED=0 go build -trimpath -tags production -ldflags '$(LDFLAGS)' -o bin/ ./cmd/walletd ./cmd/walletctl

# The end-to-end tests judge latencies: they have the machine to themselves.
test: test-unit ## Every test, on real PostgreSQL, Kafka and Redis, with the race detector; then a few faults under full load
	go test -race -parallel 4 -timeout 15m ./e2e/...
	$(CHAOS)

chaos: ## Every fault under 1000 requests/s on one wallet, half an hour: make chaos FLAGS='-chaos.seed=1 -chaos.faults=redis-hang,kafka-cut -chaos.for=5m'
	$(CHAOS) $(or $(FLAGS),-chaos.faults=all -chaos.for=3m)

# Most of what takes long waits for a component: eight at a time.
test-unit: ## The tests of the packages, without the end-to-end tests
	go test -race -parallel 8 -timeout 10m $$(go list ./... | grep -v /e2e)

SIMRUNS = 100000
sim: ## Many seeded simulations of the applier, SIMRUNS of them: a minute or two
	go test -count=1 -v -timeout 30m -run 'TestSimulation$$|TestASeedGivesTheSameTrace' ./internal/applier -sim.runs $(SIMRUNS)

mutants: ## Defects planted in the money code, each of which the tests named for it have to catch
	go run ./scripts/mutants $(FLAGS)

FUZZTIME = 10s
fuzz: ## Each decoder of what comes from outside gets made-up input, for FUZZTIME each
	./scripts/fuzz $(FUZZTIME)

lint: ## golangci-lint, with the import arrows of ARCHITECTURE.md
	go run $(GOLANGCI) run

generate: ## Write again what is generated from openapi.yaml
	go generate ./...

generated: generate ## Fail if what is generated is not up to date
	@git diff --exit-code --stat -- client internal/httpapi/api || { echo "generated code differs: commit what 'make generate' writes"; exit 1; }

vuln: ## Known vulnerabilities; says so where the database cannot be reached
	./scripts/vuln $(GOVULN)

ci: ## What CI runs: lint, generated code, build, vet, vulnerabilities, tests, planted defects, a minute of the bench
	$(MAKE) lint generated build
	go vet -tags chaos,containers ./...
	$(MAKE) vuln test mutants bench-smoke

clean: ## Remove what was built, and the data of `make run`
	rm -rf bin .walletd

.PHONY: e2e promtool image

image: ## Build the images, walletctl's too, with their version stamped
	VERSION=$(VERSION) docker-compose --profile operators build

e2e: ## The compose files in containers, killed under load: 5 minutes, Docker, the ports of both files free
	VERSION=$(VERSION) go test -tags containers -count=1 -v -timeout 14m ./e2e/compose

promtool: ## Check the alert rules and run their tests: promtool on PATH, or its image
	@cd deploy/prometheus && \
	if command -v promtool >/dev/null; then run=promtool; \
	else run="docker run --rm --entrypoint promtool -v $$PWD:/rules:ro -w /rules prom/prometheus:v2.53.3"; fi; \
	$$run check config prometheus.yml cluster.yml && $$run test rules alerts_test.yml

.PHONY: bench bench-smoke

bench: ## Measure walletd beside an empty handler, a row lock and an atomic statement: 20 minutes
	go run ./bench $(BENCH)

bench-smoke: ## A minute of it: fails on a wrong count or a collapse
	go run ./bench --smoke
