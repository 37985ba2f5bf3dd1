"""Sentences as ids of known words, as the video and text methods have them."""

import re

import numpy as np

# Runs of word characters and apostrophes: "don't" is a word, a hyphen parts two.
_WORD = re.compile(r"[\w']+")


class Words:
    """A vocabulary that turns sentences into rows of ids.

    Words that are not in it are dropped, before a sentence is cut to its length; a sentence without
    a known word is all padding.

    Args:
        vocabulary: list of str, in the order of the table of word vectors without its row of
            padding: word i has the id i + 1.
        length: int, words kept of a sentence: 16 (MMV, S3D of HowTo100M), 20 (MIL-NCE, Everything
            at Once) or 30.
        lower: bool, the vocabulary is of lower case (that of 66,250 words is; GoogleNews' isn't).

    Raises:
        ValueError: a word is not a str, or is there twice.

    Example:

    ```python
    words = keras_vssl.data.Words(["cut", "tomato"], length=4)
    words.ids(["Cut the tomato, now!"])  # [[1, 2, 0, 0]]
    ```

    Reference:
        MIL-NCE's and S3D_HowTo100M's official code.
    """

    def __init__(self, vocabulary, length=16, lower=True):
        self.vocabulary, self.length, self.lower = list(vocabulary), int(length), bool(lower)
        if wrong := next((w for w in self.vocabulary if not isinstance(w, str)), None):
            raise ValueError(
                f"Expected words as str, received {wrong!r}; decode a vocabulary of bytes, which "
                f"else knows no word."
            )
        self._ids = {word: index + 1 for index, word in enumerate(self.vocabulary)}
        if len(self._ids) != len(self.vocabulary):
            raise ValueError("Expected every word once, but one of the vocabulary is there twice.")

    def __len__(self):
        """Rows of the table of word vectors: the words and the padding."""
        return len(self.vocabulary) + 1

    @classmethod
    def from_file(cls, path, length=16, lower=True):
        """A vocabulary from a `.npy` array of str (as MIL-NCE's), or a text file, a word a line."""
        if str(path).endswith(".npy"):
            vocabulary = [str(word) for word in np.load(path, allow_pickle=False)]
        else:
            with open(path, encoding="utf-8") as file:
                vocabulary = [line.rstrip("\n") for line in file]
        return cls(vocabulary, length, lower)

    def split(self, sentence):
        """The words of a sentence, known or not."""
        return _WORD.findall(sentence.lower() if self.lower else sentence)

    def ids(self, sentences):
        """Rows of ids.

        Args:
            sentences: list of B str, or of B lists of K candidates.

        Returns:
            int32 `[B, length]`; of candidates `[B * K, length]`, row b * K + k.
        """
        if isinstance(sentences, str):
            raise ValueError("Expected a list of sentences, received one str; put it into a list.")
        flat = [s for item in sentences for s in ([item] if isinstance(item, str) else item)]
        rows = np.zeros((len(flat), self.length), "int32")
        for row, sentence in zip(rows, flat):
            known = [self._ids[word] for word in self.split(sentence) if word in self._ids]
            row[: min(len(known), self.length)] = known[: self.length]
        return rows
