// Dex with everything in memory: one client, and one person whom it lets in without asking (its own mock connector). The
// command of that version wants databases and clusters to be built along; the server is the same.
//
//	dex REDIRECT-URI CLIENT-ID CLIENT-SECRET    prints "ready ISSUER"
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/dexidp/dex/server"
	"github.com/dexidp/dex/storage"
	"github.com/dexidp/dex/storage/memory"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(redirectURI, id, secret string) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	store := memory.New(log)
	client := storage.Client{ID: id, Secret: secret, RedirectURIs: []string{redirectURI}, Name: "peerway"}
	if err := store.CreateClient(client); err != nil {
		return err
	}
	connector := storage.Connector{ID: "mock", Type: "mockCallback", Name: "mock", ResourceVersion: "1"}
	if err := store.CreateConnector(connector); err != nil {
		return err
	}
	web, err := pages()
	if err != nil {
		return err
	}
	defer os.RemoveAll(web)
	issuer := "http://" + listener.Addr().String() + "/dex"
	dex, err := server.NewServer(context.Background(), server.Config{
		Issuer:             issuer,
		Storage:            store,
		SkipApprovalScreen: true,
		Web:                server.WebConfig{Dir: web, Theme: "none"},
		Logger:             log,
		PrometheusRegistry: prometheus.NewRegistry(),
	})
	if err != nil {
		return err
	}
	fmt.Println("ready", issuer)
	return http.Serve(listener, dex)
}

// Nobody looks at them, but it does not start without.
func pages() (string, error) {
	dir, err := os.MkdirTemp("", "peerway-dex-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"static", "themes/none", "templates"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return "", err
		}
	}
	for _, name := range []string{"approval", "login", "password", "oob", "error"} {
		if err := os.WriteFile(filepath.Join(dir, "templates", name+".html"), []byte(name), 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}
