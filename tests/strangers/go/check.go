package main

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// verificationCase is one line of a batch. Digest stands for the artifact, Key for identity and issuer.
type verificationCase struct {
	ID          string `json:"id"`
	Bundle      string `json:"bundle"`
	TrustedRoot string `json:"trusted_root"`
	Artifact    string `json:"artifact"`
	Digest      string `json:"digest"`
	Identity    string `json:"identity"`
	Issuer      string `json:"issuer"`
	Key         string `json:"key"`
}

type answer struct {
	ID    string `json:"id"`
	OK    bool   `json:"ok"`
	Crash bool   `json:"crash,omitempty"`
	Error string `json:"error,omitempty"`
}

// checker reads each trusted root once.
type checker struct {
	roots map[string]*root.TrustedRoot
}

func newChecker() *checker {
	return &checker{roots: map[string]*root.TrustedRoot{}}
}

func batch(in io.Reader, out io.Writer) error {
	checker := newChecker()
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	encoder := json.NewEncoder(out)
	for lines.Scan() {
		var one verificationCase
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		if err := encoder.Encode(checker.judge(&one)); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (c *checker) judge(one *verificationCase) (said answer) {
	said.ID = one.ID
	defer func() {
		if cause := recover(); cause != nil {
			said.OK, said.Crash, said.Error = false, true, fmt.Sprint("panic: ", cause)
		}
	}()
	// Any trusted clock will do: a timestamp authority, or a log of Rekor v1 by its promise. A key needs none.
	clock := verify.WithObserverTimestamps(1)
	if one.Key != "" {
		clock = verify.WithNoObserverTimestamps()
	}
	if _, err := c.check(one, clock); err != nil {
		said.Error = err.Error()
	} else {
		said.OK = true
	}
	return said
}

func (c *checker) check(one *verificationCase, clock verify.VerifierOption) (*verify.VerificationResult, error) {
	trusted, err := c.root(one.TrustedRoot)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	entity, err := bundle.LoadJSONFromPath(one.Bundle)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	artifact, err := one.artifact()
	if err != nil {
		return nil, err
	}
	options := []verify.VerifierOption{clock, verify.WithTransparencyLog(1)}
	var material root.TrustedMaterial = trusted
	var signer verify.PolicyOption
	if one.Key != "" {
		key, err := keyMaterial(one.Key)
		if err != nil {
			return nil, fmt.Errorf("key: %w", err)
		}
		material = root.TrustedMaterialCollection{trusted, key}
		signer = verify.WithKey()
	} else {
		options = append(options, verify.WithSignedCertificateTimestamps(1))
		identity, err := verify.NewShortCertificateIdentity(one.Issuer, "", one.Identity, "")
		if err != nil {
			return nil, err
		}
		signer = verify.WithCertificateIdentity(identity)
	}
	verifier, err := verify.NewVerifier(material, options...)
	if err != nil {
		return nil, err
	}
	return verifier.Verify(entity, verify.NewPolicy(artifact, signer))
}

func (c *checker) root(path string) (*root.TrustedRoot, error) {
	if known, ok := c.roots[path]; ok {
		return known, nil
	}
	trusted, err := root.NewTrustedRootFromPath(path)
	if err == nil {
		c.roots[path] = trusted
	}
	return trusted, err
}

func (one *verificationCase) artifact() (verify.ArtifactPolicyOption, error) {
	if one.Digest == "" {
		file, err := os.ReadFile(one.Artifact)
		return verify.WithArtifact(bytes.NewReader(file)), err
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(one.Digest, "sha256:"))
	return verify.WithArtifactDigest("sha256", digest), err
}

// keyMaterial is the key in a PEM file, whatever a bundle calls it.
func keyMaterial(path string) (root.TrustedMaterial, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	verifier, err := signature.LoadDefaultVerifier(key)
	if err != nil {
		return nil, err
	}
	always := root.NewExpiringKey(verifier, time.Time{}, time.Time{})
	return root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return always, nil
	}), nil
}
