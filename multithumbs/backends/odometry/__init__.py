"""Camera motion inside one shot: `vo` measures it on the background, `static` is told."""
