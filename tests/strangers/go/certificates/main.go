// Reads certificates in PEM from standard input and says of each, in a line of JSON, whom it names and what it says of them.
//
// Go's own parser reads the certificate, fulcio's own the extensions; what they read is compared elsewhere.
package main

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/sigstore/fulcio/pkg/certificate"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// fulcio is the arc of its extensions: 1.3.6.1.4.1.57264.1.
var fulcio = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}

type reading struct {
	Names      []string          `json:"names"`
	Extensions map[string]string `json:"extensions"`
	Error      string            `json:"error"`
}

func main() {
	rest, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		found := reading{Names: []string{}, Extensions: map[string]string{}}
		if err := found.read(block.Bytes); err != nil {
			found.Error = err.Error()
		}
		if err := encoder.Encode(found); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func (r *reading) read(der []byte) error {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	r.Names = append(r.Names, leaf.EmailAddresses...)
	for _, uri := range leaf.URIs {
		r.Names = append(r.Names, uri.String())
	}
	if other, err := cryptoutils.UnmarshalOtherNameSAN(leaf.Extensions); err == nil {
		r.Names = append(r.Names, other)
	}
	for _, extension := range leaf.Extensions {
		if len(extension.Id) != len(fulcio)+1 || !extension.Id[:len(fulcio)].Equal(fulcio) {
			continue
		}
		number := extension.Id[len(fulcio)]
		text := string(extension.Value)
		if number > 6 {
			rest, err := asn1.UnmarshalWithParams(extension.Value, &text, "utf8")
			if err != nil {
				return err
			}
			if len(rest) != 0 {
				return fmt.Errorf("%d bytes after extension %d", len(rest), number)
			}
		}
		r.Extensions[strconv.Itoa(number)] = text
	}
	parsed, err := certificate.ParseExtensions(leaf.Extensions)
	if err != nil {
		return err
	}
	if parsed.Issuer != r.Extensions["8"] || parsed.Subject != r.Extensions["24"] {
		return fmt.Errorf("fulcio reads the issuer %q and the subject %q", parsed.Issuer, parsed.Subject)
	}
	return nil
}
