package irisstandin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// openPorts opens the superserver's port and, of a Community image, the private web server's. They open only once the
// databases are up: before, a connection is refused (facts 4).
func (i *instance) openPorts(ctx context.Context) error {
	port := i.cpf.number("Startup", "DefaultPort", 1972)
	superserver, err := i.listen(port)
	if err != nil {
		return fmt.Errorf("open the superserver's port: %w", err)
	}
	go acceptAndClose(superserver)
	// Licensed images have no web server any more (facts 1.7); WebServer=0 keeps Community's from starting (facts 3.2).
	if i.edition != Community || i.cpf.get("Startup", "WebServer") == "0" {
		return nil
	}
	web, err := i.listen(i.settings.WebPort)
	if err != nil {
		return fmt.Errorf("open the web server's port: %w", err)
	}
	server := &http.Server{Handler: i.handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = server.Serve(web) }()
	i.log.add(0, "Private webserver started on %d", i.settings.WebPort) // As in the article's log.
	return nil
}

func (i *instance) listen(port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", fmt.Sprintf("%s:%d", i.settings.Bind, port))
	if err == nil {
		i.listeners = append(i.listeners, listener)
	}
	return listener, err
}

// acceptAndClose is a port that is open and speaks no protocol.
func acceptAndClose(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}

func (i *instance) handler() http.Handler {
	pages := http.NewServeMux()
	portal := &portal{in: i, sessions: map[string]string{}}
	// Any page below /csp/sys/ answers with the login page, also one that does not exist (facts 4).
	pages.HandleFunc("/csp/sys/", portal.serve)
	i.monitorRoutes(pages)
	routes := http.NewServeMux()
	routes.Handle("/", newGateway(i).around(pages))
	i.ownRoutes(routes) // Not through the gateway: they are not IRIS'.
	return routes
}

// portal is a login and a page behind it, nothing more.
type portal struct {
	in       *instance
	mu       sync.Mutex
	sessions map[string]string
}

const (
	sessionCookie = "CSPSESSIONID-SP-UP-csp-sys-"
	loginPage     = `<!DOCTYPE html><html><head><title>Login</title></head><body><h1>Management Portal (stand-in, not InterSystems IRIS)</h1>
<p>%s</p><form method="post" name="Login"><input name="IRISUsername"><input name="IRISPassword" type="password">
<input type="submit" name="IRISLogin" value="Login"></form></body></html>
`
	changePage = `<!DOCTYPE html><html><head><title>Change Password</title></head><body><p>%s has to change the password.</p></body></html>
`
	homePage = `<!DOCTYPE html><html><head><title>Home</title></head><body><h1>Management Portal (stand-in, not InterSystems IRIS)</h1>
<p>User %s, instance %s on %s</p></body></html>
`
)

func (p *portal) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if name, found := p.session(r); found {
		_, _ = fmt.Fprintf(w, homePage, html.EscapeString(name), p.in.settings.Instance, html.EscapeString(p.in.host))
		return
	}
	name, password := r.PostFormValue("IRISUsername"), r.PostFormValue("IRISPassword")
	if name == "" {
		_, _ = fmt.Fprintf(w, loginPage, "")
		return
	}
	ok, change := p.in.users.login(name, password)
	switch {
	case !ok || p.in.at() != admitting:
		_, _ = fmt.Fprintf(w, loginPage, "Access Denied")
	case change:
		// The first login has to change the password (facts 3.3).
		_, _ = fmt.Fprintf(w, changePage, html.EscapeString(name))
	default:
		http.SetCookie(w, &http.Cookie{Name: sessionCookie, Value: p.open(name), Path: "/csp/sys/", HttpOnly: true})
		_, _ = fmt.Fprintf(w, homePage, html.EscapeString(name), p.in.settings.Instance, html.EscapeString(p.in.host))
	}
}

func (p *portal) session(r *http.Request) (string, bool) {
	cookie, err := r.Cookie(sessionCookie)
	if err != nil {
		return "", false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	name, found := p.sessions[cookie.Value]
	return name, found
}

func (p *portal) open(name string) string {
	id := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sessions[id] = name
	return id
}

// ownRoutes are the stand-in's, not IRIS': reading and writing a node of USER with an acknowledgement.
func (i *instance) ownRoutes(routes *http.ServeMux) {
	routes.HandleFunc("/iris-standin/node", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Iris-Standin", "this interface is not InterSystems IRIS'")
		if i.at() != admitting {
			http.Error(w, signOnInhibited, http.StatusServiceUnavailable)
			return
		}
		value, err := i.node(r)
		var object *objectError
		switch {
		case errors.As(err, &object):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		default:
			_, _ = io.WriteString(w, value+"\n")
		}
	})
}

// node reads "?ref=^rows(1)", or writes the body to it: with "transaction=1" in a transaction, whose commit is
// synchronous if [Miscellaneous] SynchCommit says so, otherwise as a plain SET.
func (i *instance) node(r *http.Request) (string, error) {
	p, err := i.newProcess("USER")
	if err != nil {
		return "", err
	}
	p.scanner = &scanner{text: r.URL.Query().Get("ref")}
	target, err := p.reference()
	if err != nil || !target.global() || p.scanner.peek() != 0 {
		return "", errors.Join(err, errSyntax)
	}
	if r.Method == http.MethodGet {
		value, found, err := p.lookUp(target)
		if err == nil && !found {
			err = &objectError{"UNDEFINED", nodeName(target.name, target.subscripts)}
		}
		return value, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return "", fmt.Errorf("read the value: %w", err)
	}
	inTransaction := r.URL.Query().Get("transaction") == "1"
	if inTransaction {
		if err := p.tstart(); err != nil {
			return "", err
		}
	}
	if err := p.assign(target, strings.TrimSuffix(string(body), "\n")); err != nil {
		return "", errors.Join(err, p.end())
	}
	if inTransaction {
		err = p.tcommit()
	}
	return "acknowledged", err
}
