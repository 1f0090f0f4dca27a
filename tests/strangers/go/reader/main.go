// Reads our two logs with the libraries that others read logs with: tessera's client and fsck, rekor-tiles' clients and
// verifiers, certificate-transparency-go's types and signatures. PLACE is the address of a log or its folder of files.
//
//	reader leaves PLACE KEY ORIGIN                 the leaf hash of every entry, a line each
//	reader grow URL FOLDER KEY ORIGIN SEEN SIZE... lets the log grow to these sizes and reads all of it at each
//	reader read PLACE KEY ORIGIN SEEN              reads the whole log against the checkpoints seen before
//	reader forge SEEN PRIVATE_KEY ORIGIN           signs another root for one of the checkpoints seen
//	reader ct PLACE KEY ORIGIN                     reads a whole log of certificates
//	reader submit URL KEY ORIGIN BUNDLE...         the same, and has everything logged once more, with the bundles' certificates
package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"k8s.io/klog/v2"
)

const limit = 9 * time.Minute

func main() {
	// What tessera's fsck has to say at length goes nowhere; its error comes back to us.
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	_ = flags.Set("logtostderr", "false")
	_ = flags.Set("stderrthreshold", "FATAL")
	klog.SetOutput(nothing{})
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "refused:", err)
		os.Exit(1)
	}
}

type nothing struct{}

func (nothing) Write(p []byte) (int, error) { return len(p), nil }

func run(ctx context.Context, words []string) error {
	if len(words) < 4 {
		return errors.New("usage: reader leaves | grow | read | forge | ct | submit, see the source")
	}
	rest := words[1:]
	switch words[0] {
	case "leaves":
		return leaves(ctx, rest[0], rest[1], rest[2])
	case "grow":
		return grow(ctx, rest)
	case "read":
		return read(ctx, rest)
	case "forge":
		return forge(ctx, rest[0], rest[1], rest[2])
	case "ct":
		_, err := readCT(ctx, rest[0], rest[1], rest[2])
		return err
	case "submit":
		return submit(ctx, rest)
	}
	return fmt.Errorf("unknown mode %s", words[0])
}

func publicKey(file string) (crypto.PublicKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", file)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}

func numbers(texts []string) ([]uint64, error) {
	var found []uint64
	for _, text := range texts {
		number, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		found = append(found, number)
	}
	return found, nil
}
