"""How documents look: forms and derivations become LaTeX, text, Markdown or JSON, in English or Chinese."""
