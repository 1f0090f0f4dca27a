use super::*;
use alloc::vec;
use proptest::prelude::*;

#[test]
fn paths_have_one_spelling() {
    let refused = [
        "",
        "/",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/01/000",
        "tile/+1/000",
        "tile/64/000",
        "tile/256/000",
        "tile/-1/000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001",
        "tile/0/x001/x000",
        "tile/0/x001//000",
        "tile/0/x001/000/",
        "/tile/0/000",
        "tile/0/000 ",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/0x0",
        "tile/0/X001/000",
        "tile/8/0/000",
        "tile/entries/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/٠٠٠",
        "tile/0/x072/x057/x594/x037/x927/936",
        "tile/0/../000",
        "checkpoint",
    ];
    for path in refused {
        assert!(Tile::parse(path).is_err(), "{path}");
    }
    let refused =
        ["tile/entries", "tile/entries/", "tile/entriesx/000", "tile/data/000", "tile/entries/x000/001"];
    for path in refused {
        assert!(EntryBundle::parse(path, ENTRIES_DIR).is_err(), "{path}");
    }
    assert_eq!(entries_path(1_234_067, 256), "tile/entries/x001/x234/067");
    assert_eq!(data_path(0, 3), "tile/data/000.p/3");
    assert!(matches!(Resource::parse("tile/data/000.p/3", DATA_DIR), Ok(Resource::Bundle(_))));
    assert!(matches!(Resource::parse("tile/5/000.p/3", DATA_DIR), Ok(Resource::Tile(_))));
    assert!(Resource::parse("tile/entries/000", DATA_DIR).is_err());
}

#[test]
fn out_of_range_is_refused() {
    assert_eq!(Tile::new(64, 0, 1), Err(TileError::Level(64)));
    assert_eq!(Tile::new(0, 1 << 56, 1), Err(TileError::Index(1 << 56)));
    assert_eq!(Tile::new(0, 0, 0), Err(TileError::Width(0)));
    assert_eq!(Tile::new(0, 0, 257), Err(TileError::Width(257)));
    assert_eq!(EntryBundle::new(u64::MAX, 1), Err(TileError::Index(u64::MAX)));
    let tile = Tile::new(0, 0, 2).unwrap();
    for length in [0, 32, 63, 65, 96] {
        let refused = TileError::Length { tile, expected: 64, found: length };
        assert_eq!(tile.decode(&vec![0; length]), Err(refused));
    }
    assert_eq!(tile.decode(&[7; 64]), Ok(vec![Hash([7; 32]); 2]));
}

#[test]
fn tiles_of_a_tree() {
    let paths = |size| tiles_for_size(size).map(|tile| tile.path()).collect::<Vec<_>>();
    assert_eq!(paths(0), Vec::<String>::new());
    assert_eq!(paths(1), ["tile/0/000.p/1"]);
    assert_eq!(paths(256), ["tile/0/000", "tile/1/000.p/1"]);
    assert_eq!(paths(513), ["tile/0/000", "tile/0/001", "tile/0/002.p/1", "tile/1/000.p/2"]);
    let partial = |size| partial_tiles(size).map(|tile| tile.path()).collect::<Vec<_>>();
    assert_eq!(partial(65_536 + 257), ["tile/0/257.p/1", "tile/1/001.p/1", "tile/2/000.p/1"]);
    assert_eq!(partial_tiles(u64::MAX).count(), 8);
    assert_eq!(
        bundles_since(255, 257).map(|b| b.path("entries")).collect::<Vec<_>>(),
        ["tile/entries/000", "tile/entries/001.p/1"]
    );
    assert_eq!(bundles_since(300, 300).count(), 0);
    assert_eq!(tiles_since(u64::MAX - 1, u64::MAX).next().map(|t| t.width()), Some(255));
}

proptest! {
    #[test]
    fn paths_come_back(level in 0..=MAX_TILE_LEVEL, index in 0..1_u64 << 56, shift in 0..56, width in 1..=TILE_WIDTH) {
        let tile = Tile::new(level, index >> shift, width).unwrap();
        prop_assert_eq!(Tile::parse(&tile.path()), Ok(tile));
        let bundle = EntryBundle::new(index >> shift, width).unwrap();
        prop_assert_eq!(EntryBundle::parse(&bundle.path("entries"), "entries"), Ok(bundle));
    }

    #[test]
    fn what_parses_is_spelled_so(path in "tile/[0-9]{1,2}/(x[0-9]{3}/){0,7}[0-9]{3}(\\.p/[0-9]{1,3})?") {
        if let Ok(tile) = Tile::parse(&path) {
            prop_assert_eq!(tile.path(), path);
        }
    }

    #[test]
    fn nothing_panics(path in "\\PC*") {
        let _ = Resource::parse(&path, ENTRIES_DIR);
    }
}
