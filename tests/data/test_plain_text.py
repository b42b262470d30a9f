"""Plain text is told from other formats by its beginning, and other formats are named with the key that reads them."""

from pathlib import Path

import pytest

from sentence_order.data.formats import find_format, format_by_name
from sentence_order.data.layout import Layout
from sentence_order.data.readers import read_documents
from sentence_order.errors import UserError

PROSE = [
    "He came.\nHe saw.\n\nHe left.\n",
    "Roses, red\nViolets, blue\nSugar, sweet\n",
    "Yes, he said.\nNo, she said.\n",
    "Once upon a time; yes,\nlong ago; no,\n",
    "\tHe came, he saw.\n\tHe left, late.\n",
    "[Music] He came.\n[Noise] He left.\n",
    "[[Category:Cakes]]\nMix it.\n",
    "{name} came.\n",
    "1,2 litres of milk.\n1,5 litres of water.\n",
    "One\nTwo\nThree\n",
    "<b>He</b> came.\nHe left.\n",
    "Roses,red\nViolets,blue\n",
    "",
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_taken_for_text(tmp_path: Path, text: str) -> None:
    assert find_format(text) == "text"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('["He came.", "He left."]\n', "jsonl"),
        ("['He came.', 'He left.']\n", "jsonl"),
        ('[["He came."]]', "jsonl"),
        ('[\n {\n  "id": 1', "jsonl"),
        ('{"id": 1}\n', "jsonl"),
        ("id,text\n1,He came.\n2,He left.\n", "csv"),
        (",title,text\n0,Cake,He came.\n", "csv"),
        ("Story ID\tSentence 1\n7\tHe came.\n", "csv"),
        ('id;s1\n1;"He came; he left."\n2;"He\nsat."\n', "csv"),
    ],
)
def test_other_formats_are_named_with_their_key(tmp_path: Path, text: str, found: str) -> None:
    assert find_format(text) == found
    (tmp_path / "stories.txt").write_text(text)
    with pytest.raises(UserError, match=rf"stories\.txt: .*, not plain text; data={found} reads it"):
        list(read_documents(str(tmp_path / "stories.txt"), "text", Layout()))
    with pytest.raises(UserError, match=f"; format={found} reads it"):
        list(read_documents(str(tmp_path / "stories.txt"), "text", Layout(prefix="")))
    assert list(read_documents(str(tmp_path / "stories.txt"), "text", Layout(is_any_text=True)))


def test_a_mark_between_sentences_makes_a_line_a_document(tmp_path: Path) -> None:
    (tmp_path / "dev.tsv").write_text(
        "He came . <eos> He left .\nShe sat . <eos> She rose . <eos> \n\nAll <eos> slept\n"
    )
    documents = list(read_documents(str(tmp_path / "dev.tsv"), "text", Layout()))
    assert [document.sentences for document in documents] == [
        ["He came .", "He left ."],
        ["She sat .", "She rose .", ""],
        ["All", "slept"],
    ]
    assert documents[2].id == f"{tmp_path}/dev.tsv:4"
    (tmp_path / "a.txt").write_text("He wrote:\n<eos> ends a text.\n")
    assert len(list(read_documents(str(tmp_path / "a.txt"), "text", Layout()))) == 1


def test_files_of_other_formats_than_expected_are_named(tmp_path: Path) -> None:
    texts = {
        "csv": "id,text\n1,He came.\n",
        "jsonl": '{"text": "He came. <eos> He left."}\n',
        "text": "Come <eos> go\n",
    }
    for found, text in texts.items():
        (tmp_path / "stories").write_text(text)
        assert find_format(text) == found
        for expected in {"csv", "jsonl", "parquet"} - {found}:
            with pytest.raises(UserError, match=rf"stories: holds .*, not .*; data={found} reads it"):
                list(read_documents(str(tmp_path / "stories"), expected, Layout(text_column="text")))


def test_a_name_shows_a_format() -> None:
    names = {"a.jsonl": "jsonl", "a.JSON.bz2": "jsonl", "a.tsv.zip": "csv", "a.csv.xz": "csv", "a.txt.gz": "text"}
    assert {name: format_by_name(name) for name in names} == names
    assert format_by_name("a.dat") is None
