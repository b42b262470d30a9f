"""Serves a page that orders text: python -m sentence_order.demo [checkpoint=DIR]."""

from sentence_order.demo import main

if __name__ == "__main__":
    main()
