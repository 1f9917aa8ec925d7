"""Pure torch functions of arrays: any leading batch, the inputs' dtype and device kept."""
