package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
)

// fetcher is what tessera's fsck reads through.
type fetcher interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadTile(ctx context.Context, l, i uint64, p uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, i uint64, p uint8) ([]byte, error)
}

func isURL(place string) bool {
	return strings.HasPrefix(place, "http://") || strings.HasPrefix(place, "https://")
}

// tesseraFetcher is tessera's own for a log of entries.
func tesseraFetcher(place string) (fetcher, error) {
	if !isURL(place) {
		return client.FileFetcher{Root: place}, nil
	}
	root, err := url.Parse(place)
	if err != nil {
		return nil, err
	}
	return client.NewHTTPFetcher(root, nil)
}

// remembered keeps tiles, which never change.
type remembered struct {
	fetcher
	tiles map[string][]byte
}

func (r remembered) ReadTile(ctx context.Context, l, i uint64, p uint8) ([]byte, error) {
	name := layout.TilePath(l, i, p)
	if tile, ok := r.tiles[name]; ok {
		return tile, nil
	}
	tile, err := r.fetcher.ReadTile(ctx, l, i, p)
	if err == nil {
		r.tiles[name] = tile
	}
	return tile, err
}

// staticCT reads a log of certificates, of which tessera's fetchers know all but the names of the data tiles.
type staticCT struct{ place string }

func (s staticCT) get(ctx context.Context, name string) ([]byte, error) {
	if !isURL(s.place) {
		return os.ReadFile(filepath.Join(s.place, filepath.FromSlash(name)))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(s.place, "/")+"/"+name, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		return io.ReadAll(answer.Body)
	case http.StatusNotFound:
		return nil, fmt.Errorf("%s: %w", name, os.ErrNotExist)
	}
	return nil, fmt.Errorf("%s: %s", name, answer.Status)
}

// partial asks for the partial resource, and for the whole one where that is gone.
func (s staticCT) partial(ctx context.Context, p uint8, name func(uint8) string) ([]byte, error) {
	found, err := s.get(ctx, name(p))
	if p != 0 && errors.Is(err, os.ErrNotExist) {
		return s.get(ctx, name(0))
	}
	return found, err
}

func (s staticCT) ReadCheckpoint(ctx context.Context) ([]byte, error) {
	return s.get(ctx, layout.CheckpointPath)
}

func (s staticCT) ReadTile(ctx context.Context, l, i uint64, p uint8) ([]byte, error) {
	return s.partial(ctx, p, func(p uint8) string { return layout.TilePath(l, i, p) })
}

func (s staticCT) ReadEntryBundle(ctx context.Context, i uint64, p uint8) ([]byte, error) {
	return s.partial(ctx, p, func(p uint8) string { return "tile/data/" + layout.NWithSuffix(0, i, p) })
}

func (s staticCT) issuer(ctx context.Context, fingerprint []byte) ([]byte, error) {
	return s.get(ctx, fmt.Sprintf("issuer/%x", fingerprint))
}
