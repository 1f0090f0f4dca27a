// Verifies a bundle with the module sigstore-go, as a user of that library would.
//
//	sigstore-go-verify TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER
package main

import (
	"fmt"
	"os"

	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

func main() {
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: sigstore-go-verify TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER")
		os.Exit(2)
	}
	result, err := check(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verified:", result.Signature.Certificate.SubjectAlternativeName)
}

func check(rootFile, bundleFile, file, identity, issuer string) (*verify.VerificationResult, error) {
	trusted, err := root.NewTrustedRootFromPath(rootFile)
	if err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	entity, err := bundle.LoadJSONFromPath(bundleFile)
	if err != nil {
		return nil, fmt.Errorf("bundle: %w", err)
	}
	artifact, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer artifact.Close()
	signer, err := verify.NewShortCertificateIdentity(issuer, "", identity, "")
	if err != nil {
		return nil, err
	}
	verifier, err := verify.NewVerifier(trusted,
		verify.WithSignedCertificateTimestamps(1),
		verify.WithTransparencyLog(1),
		verify.WithSignedTimestamps(1),
	)
	if err != nil {
		return nil, err
	}
	policy := verify.NewPolicy(verify.WithArtifact(artifact), verify.WithCertificateIdentity(signer))
	return verifier.Verify(entity, policy)
}
