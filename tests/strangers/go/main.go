// Verifies bundles with the module sigstore-go, as a user of that library would.
//
//	sigstore-go-verify TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER    one
//	sigstore-go-verify batch                                       cases as JSON lines in, answers out
package main

import (
	"fmt"
	"os"

	"github.com/sigstore/sigstore-go/pkg/verify"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == "batch" {
		if err := batch(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if len(os.Args) != 6 {
		fmt.Fprintln(os.Stderr, "usage: sigstore-go-verify batch | TRUSTED_ROOT BUNDLE FILE IDENTITY ISSUER")
		os.Exit(2)
	}
	one := verificationCase{
		TrustedRoot: os.Args[1], Bundle: os.Args[2], Artifact: os.Args[3],
		Identity: os.Args[4], Issuer: os.Args[5],
	}
	// The clients of today all stamp their signatures, and that is what is asked for here.
	result, err := newChecker().check(&one, verify.WithSignedTimestamps(1))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("verified:", result.Signature.Certificate.SubjectAlternativeName)
}
