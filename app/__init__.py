"""The Med-2E3 viewer: a Qt window around the engine `med2e3`."""
